#!/usr/bin/env bash
# Installs the linter, built from source at a pinned version outside of the
# checkout, and prints where it is. A second run returns at once.
set -euo pipefail

version=v2.15.0

tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
folder=$tools/golangci-lint-$version
binary=$folder/golangci-lint

mkdir -p "$tools"
exec 9>"$folder.lock"
flock 9
if [ ! -x "$binary" ]; then
	echo "installing golangci-lint $version to $folder (the first time takes about two minutes)" >&2
	build=$(mktemp -d "$tools/.golangci-lint.XXXXXX")
	trap 'rm -rf "$build"' EXIT
	# From a folder without a module, so that our own versions do not matter.
	(cd "$build" && GOBIN=$build GOOS='' GOARCH='' GOFLAGS='' GOWORK=off CGO_ENABLED=0 \
		go install -trimpath -ldflags='-s -w' "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version")
	mkdir -p "$folder"
	mv -f "$build/golangci-lint" "$binary"
fi
echo "$binary"
