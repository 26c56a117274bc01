#!/bin/sh
# Installs the S3 server that tests run against and prints where it is.
#
# The version is the one that test/s3server names. The binary goes to
# ${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}, outside of the checkout, and
# stays there: a second run returns at once. Needs Go and nothing else.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
version=$(sed -n 's/^const Version = "\(v[^"]*\)"$/\1/p' "$here/../s3server/server.go")
if [ -z "$version" ]; then
	echo "s3server.sh: no version found in test/s3server/server.go" >&2
	exit 1
fi

tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
folder=$tools/versitygw-$version
binary=$folder/versitygw

if [ ! -x "$binary" ]; then
	echo "installing versitygw $version to $folder (the first time takes a few minutes)" >&2
	mkdir -p "$tools"
	# Built beside its place and moved there when complete, so that an
	# interrupted run, or two at a time, leave no half of it.
	build=$(mktemp -d "$tools/.versitygw.XXXXXX")
	trap 'rm -rf "$build"' EXIT
	trap 'exit 1' HUP INT TERM
	# From a folder without a module, so that our own versions do not matter.
	(cd "$build" && GOBIN=$build GOOS='' GOARCH='' GOFLAGS='' GOWORK=off CGO_ENABLED=0 \
		go install -trimpath -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@$version")
	mkdir -p "$folder"
	mv -f "$build/versitygw" "$binary"
fi
echo "$binary"
