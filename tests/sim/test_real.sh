#!/bin/bash
# The simulator over a real PostgreSQL: some seeds, and one of them twice, which must be the same run.
set -u
doorsim=${BUILD:-build/gcc}/doorsim seeds=${SEEDS:-1..5} passed=0 failed=0
if "$doorsim" sim --seeds "$seeds" --store=real --summary; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
fi
# It found something once: docs/proof.md.
if "$doorsim" sim --seed 409 --store=real --summary; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
fi
# In company and alone: a run must not depend on those before it.
first=$("$doorsim" sim --seeds 6..7 --store=real --hash 2>/dev/null | grep '^seed 7:')
again=$("$doorsim" sim --seed 7 --store=real --hash 2>/dev/null | grep '^seed 7:')
if [ -n "$first" ] && [ "$first" = "$again" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "seed 7: $first, and again: $again"
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
