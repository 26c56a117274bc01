#!/bin/sh
# Installs the Google Cloud Storage server that tests run against and prints where
# it is.
#
# The version is the one that test/gcsserver names. The binary goes to
# ${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}, outside of the checkout, and
# stays there: a second run returns at once. Needs Go and nothing else.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
version=$(sed -n 's/^const Version = "\(v[^"]*\)"$/\1/p' "$here/../gcsserver/server.go")
if [ -z "$version" ]; then
	echo "gcsserver.sh: no version found in test/gcsserver/server.go" >&2
	exit 1
fi

tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
folder=$tools/fake-gcs-server-$version
binary=$folder/fake-gcs-server

if [ ! -x "$binary" ]; then
	echo "installing fake-gcs-server $version to $folder (the first time takes a few minutes)" >&2
	mkdir -p "$tools"
	# Built beside its place and moved there when complete, so that an
	# interrupted run, or two at a time, leave no half of it.
	build=$(mktemp -d "$tools/.fake-gcs-server.XXXXXX")
	trap 'rm -rf "$build"' EXIT
	trap 'exit 1' HUP INT TERM
	# From a folder without a module, so that our own versions do not matter.
	(cd "$build" && GOBIN=$build GOOS='' GOARCH='' GOFLAGS='' GOWORK=off CGO_ENABLED=0 \
		go install -trimpath -ldflags='-s -w' "github.com/fsouza/fake-gcs-server@$version")
	mkdir -p "$folder"
	mv -f "$build/fake-gcs-server" "$binary"
fi
echo "$binary"
