#!/usr/bin/env bash
# Installs govulncheck, built from source at a pinned version outside of the
# checkout, and prints where it is. A second run returns at once.
set -euo pipefail

version=v1.9.0

tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
folder=$tools/govulncheck-$version
binary=$folder/govulncheck

mkdir -p "$tools"
exec 9>"$folder.lock"
flock 9
if [ ! -x "$binary" ]; then
	echo "installing govulncheck $version to $folder" >&2
	build=$(mktemp -d "$tools/.govulncheck.XXXXXX")
	trap 'rm -rf "$build"' EXIT
	# From a folder without a module, so that our own versions do not matter.
	(cd "$build" && GOBIN=$build GOOS='' GOARCH='' GOFLAGS='' GOWORK=off CGO_ENABLED=0 \
		go install -trimpath -ldflags='-s -w' "golang.org/x/vuln/cmd/govulncheck@$version")
	mkdir -p "$folder"
	mv -f "$build/govulncheck" "$binary"
fi
echo "$binary"
