#!/bin/sh
# Installs the Azure Blob Service emulator that tests run against and prints where
# it is.
#
# What is installed is pinned by test/azurite/package-lock.json. It goes to
# ${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}, outside of the checkout, and
# stays there: a second run returns at once. Needs Node.js and its npm.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
lock=$here/../azurite/package-lock.json
sum=$(sha256sum "$lock" | cut -c 1-16)

tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
folder=$tools/azurite-$sum
program=$folder/node_modules/azurite/dist/src/blob/main.js

if [ ! -f "$program" ]; then
	for needed in node npm; do
		if ! command -v "$needed" >/dev/null; then
			echo "azurite.sh: there is no $needed in PATH; Azurite needs Node.js 18 or later (Debian: apt-get install nodejs npm)" >&2
			exit 1
		fi
	done
	echo "installing Azurite to $folder (the first time takes a minute)" >&2
	mkdir -p "$tools"
	# Built beside its place and moved there when complete, so that an
	# interrupted run, or two at a time, leave no half of it.
	build=$(mktemp -d "$tools/.azurite.XXXXXX")
	trap 'rm -rf "$build"' EXIT
	trap 'exit 1' HUP INT TERM
	cp "$lock" "$here/../azurite/package.json" "$build/"
	# Its packages need nothing compiled, so none of their scripts runs.
	(cd "$build" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier >&2)
	rm -rf "$folder"
	mv "$build" "$folder"
fi
echo "$program"
