#!/usr/bin/env bash
# Makes the Python environment of a requirements file, outside of the checkout,
# and prints the path of its python. What is there already is used again: the
# folder's name holds the hash of the requirements.
set -euo pipefail

requirements=${1:?usage: python.sh REQUIREMENTS}
tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}
python=${PYTHON:-python3}

as_root_install() {
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >&2
	else
		echo "python.sh: needs $* (install them and try again)" >&2
		exit 1
	fi
}

command -v "$python" >/dev/null || as_root_install python3 python3-venv

hash=$({ cat "$requirements"; "$python" -V; } | sha256sum | cut -c1-16)
folder=$tools/python-$hash
mkdir -p "$tools"

# Several tests may ask at the same time: one makes it, the others wait.
exec 9>"$folder.lock"
flock 9
if [ ! -x "$folder/bin/python" ] || [ ! -e "$folder/complete" ]; then
	echo "making the Python environment $folder" >&2
	rm -rf "$folder"
	"$python" -m venv "$folder" >&2 || { rm -rf "$folder"; as_root_install python3-venv; "$python" -m venv "$folder" >&2; }
	"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --only-binary :all: -r "$requirements" >&2
	touch "$folder/complete"
fi
echo "$folder/bin/python"
