#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other, for a bounded time
# each.
set -euo pipefail

each=${1:-30s}
failed=0
while IFS=: read -r file line; do
	target=$(sed -E 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/' <<<"$line")
	package=./$(dirname "$file")
	echo "== $package $target ($each)"
	go test -run '^$' -fuzz "^$target\$" -fuzztime "$each" "$package" || failed=1
done < <(grep -rHE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+\(' . | sed 's|^\./||')
exit $failed
