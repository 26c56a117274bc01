#!/usr/bin/env bash
# Generates Go from the module's .proto files; with --check it only compares.
# protoc itself comes from the system's packages (protobuf-compiler); its plugin
# is the one that go.mod pins.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v protoc >/dev/null; then
	echo "protoc.sh: protoc is not installed (package protobuf-compiler)" >&2
	exit 1
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/protoc-gen-go" google.golang.org/protobuf/cmd/protoc-gen-go

mapfile -t sources < <(find . -name '*.proto' -not -path './bin/*' | sed 's|^\./||' | sort)
out=.
[ "${1:-}" = --check ] && out=$work/out && mkdir "$out"
protoc --plugin="$work/protoc-gen-go" --proto_path=. --go_out="$out" --go_opt=paths=source_relative "${sources[@]}"

if [ "${1:-}" = --check ]; then
	stale=0
	for source in "${sources[@]}"; do
		file=${source%.proto}.pb.go
		# The generator writes its own versions into the file: those may differ.
		diff -I '^//[[:space:]]*\(-[[:space:]]*\)\?protoc' -u "$file" "$out/$file" >&2 || stale=1
	done
	[ $stale = 0 ] || { echo "generated files are old: run 'make generate'" >&2; exit 1; }
fi
