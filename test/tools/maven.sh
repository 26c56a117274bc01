#!/usr/bin/env bash
# Makes a folder of the jars that a pom lists, outside of the checkout, and
# prints where it is. What is there already is used again: the folder's name
# holds the hash of the list. Whoever asks for jars gets a Java to run them, too.
set -euo pipefail

list=${1:?usage: maven.sh POM}
tools=${FLOEBERG_TOOLS:-$HOME/.cache/floeberg-tools}

as_root_install() {
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } >&2
	else
		echo "maven.sh: needs $* (install them and try again)" >&2
		exit 1
	fi
}

# java_version is the first number that java says of itself; 0 where there is none.
java_version() {
	local version
	version=$(java -XX:-UsePerfData -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1) || true
	echo "${version:-0}"
}

# All of it runs on 17; what is the current one differs by distribution.
if [ "$(java_version)" -lt 17 ]; then
	jre=openjdk-17-jre-headless
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		apt-get update -qq >&2
		apt-cache show "$jre" >/dev/null 2>&1 || jre=default-jre-headless
	fi
	as_root_install "$jre"
	if [ "$(java_version)" -lt 17 ]; then
		echo "maven.sh: needs a Java of version 17 or later on the PATH; what is there says $(java_version)" >&2
		exit 1
	fi
fi

folder=$tools/jars-$(sha256sum <"$list" | cut -c1-16)
mkdir -p "$tools"

# Several tests may ask at the same time: one makes it, the others wait.
exec 9>"$folder.lock"
flock 9
if [ ! -e "$folder/complete" ]; then
	command -v mvn >/dev/null || as_root_install maven
	echo "fetching the jars of $list to $folder" >&2
	rm -rf "$folder"
	mvn --batch-mode --quiet --no-transfer-progress -Dstyle.color=never --file "$list" dependency:copy-dependencies "-DoutputDirectory=$folder" >&2
	touch "$folder/complete"
fi
echo "$folder"
