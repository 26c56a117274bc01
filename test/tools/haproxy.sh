#!/usr/bin/env bash
# Makes sure that HAProxy is installed and prints where it is.
set -euo pipefail

# Distributions put it where only root looks.
export PATH=$PATH:/usr/sbin:/usr/local/sbin

if ! command -v haproxy >/dev/null; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq haproxy; } >&2
	else
		echo "haproxy.sh: needs haproxy 2.2 or later (install it and try again)" >&2
		exit 1
	fi
fi
command -v haproxy
