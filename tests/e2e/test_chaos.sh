#!/bin/bash
# Two runs of `doorsim chaos`, side by side: they mostly wait.  `make chaos` does every fault.
cd "$(dirname "$0")/../.." || exit 1
doorsim=${BUILD:-build/gcc}/doorsim
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
runs=()
for seed in 2 4; do
    "$doorsim" chaos --seed "$seed" --seconds 5 >"$out/$seed" 2>&1 &
    runs+=("$!")
done
trap 'kill "${runs[@]}" 2>/dev/null' INT TERM HUP
passed=0 failed=0
for run in "${runs[@]}"; do
    if wait "$run"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done
cat "$out"/*
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
