#!/bin/sh
# Installs the OpenID Connect provider that tests run against and prints where it is.
#
# The version is the one that test/oidcserver names. The binary goes to
# ${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}, outside of the checkout, and
# stays there: a second run returns at once. Needs Go and nothing else.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
version=$(sed -n 's/^const Version = "\(v[^"]*\)"$/\1/p' "$here/../oidcserver/server.go")
if [ -z "$version" ]; then
	echo "oidcserver.sh: no version found in test/oidcserver/server.go" >&2
	exit 1
fi

tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
folder=$tools/zitadel-oidc-$version
binary=$folder/server

if [ ! -x "$binary" ]; then
	echo "installing the server of zitadel/oidc $version to $folder (the first time takes a minute)" >&2
	mkdir -p "$tools"
	# Built beside its place and moved there when complete, so that an
	# interrupted run, or two at a time, leave no half of it.
	build=$(mktemp -d "$tools/.zitadel-oidc.XXXXXX")
	trap 'rm -rf "$build"' EXIT
	trap 'exit 1' HUP INT TERM
	# From a folder without a module, so that our own versions do not matter.
	(cd "$build" && GOBIN=$build GOOS='' GOARCH='' GOFLAGS='' GOWORK=off CGO_ENABLED=0 \
		go install -trimpath -ldflags='-s -w' "github.com/zitadel/oidc/v3/example/server@$version")
	mkdir -p "$folder"
	mv -f "$build/server" "$binary"
fi
echo "$binary"
