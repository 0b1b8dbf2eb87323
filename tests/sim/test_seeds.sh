#!/bin/bash
# The named seeds of seeds.txt: each found something once and must pass now.
set -u
doorsim=${BUILD:-build/gcc}/doorsim list=tests/sim/seeds.txt passed=0 failed=0
while read -r seed options what; do
    case $seed in '' | '#'*) continue ;; esac
    [ "$options" = - ] && options=
    # shellcheck disable=SC2086
    if "$doorsim" sim --seed "$seed" ${options//,,/ } --summary </dev/null 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "seed $seed fails again: $what"
    fi
done <$list
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
