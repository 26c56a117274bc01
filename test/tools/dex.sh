#!/bin/sh
# Installs Dex, the identity provider that tests run against, and prints where it is.
#
# The version is the one that test/dexserver names. The binary goes to
# ${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}, outside of the checkout, and
# stays there: a second run returns at once. Needs Go and nothing else.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
version=$(sed -n 's/^const Version = "\(v[^"]*\)"$/\1/p' "$here/../dexserver/server.go")
if [ -z "$version" ]; then
	echo "dex.sh: no version found in test/dexserver/server.go" >&2
	exit 1
fi

tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
folder=$tools/dex-$version
binary=$folder/dex

if [ ! -x "$binary" ]; then
	echo "installing Dex $version to $folder (the first time takes some minutes)" >&2
	mkdir -p "$tools"
	# Built beside its place and moved there when complete, so that an
	# interrupted run, or two at a time, leave no half of it.
	build=$(mktemp -d "$tools/.dex.XXXXXX")
	trap 'rm -rf "$build"' EXIT
	trap 'exit 1' HUP INT TERM
	# In a module of its own: Dex's has a replacement in it, and such can't be installed.
	(
		cd "$build"
		export GOOS='' GOARCH='' GOFLAGS=-mod=mod GOWORK=off CGO_ENABLED=0
		go mod init dex.test
		go get "github.com/dexidp/dex@$version"
		go build -trimpath -ldflags='-s -w' -o dex github.com/dexidp/dex/cmd/dex
	) >&2
	mkdir -p "$folder"
	mv -f "$build/dex" "$binary"
fi
echo "$binary"
