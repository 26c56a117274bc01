#!/usr/bin/env bash
# Makes sure that there is a C compiler: the race detector, and nothing else
# here, needs one.
set -euo pipefail

command -v gcc >/dev/null || command -v clang >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq gcc libc6-dev; } >&2
else
	echo "compiler.sh: the race detector needs gcc (install it and try again)" >&2
	exit 1
fi
