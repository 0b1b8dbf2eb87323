#!/bin/bash
# The bench from end to end with tiny rounds: everything is measured, counted and exact.  How fast it
# was is nobody's business here.
cd "$(dirname "$0")/../.." || exit 1
export BUILD=${BUILD:-build/gcc} LC_ALL=C
passed=0 failed=0
check_true() { # WHAT COMMAND…
    local what=$1
    shift
    if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAIL: $what"; fi
}
mkdir -p var && dir=$(mktemp -d var/test-bench-XXXXXX) || exit 1
finish() {
    rm -rf "$dir"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}

# Inventory in a thread of its own, so that it is a part of its own.
SHOPPERS=2000 LOTS=2 ROUNDS=1 BOOTS=0 PAST_ORDERS=1000 JSON=$dir/bench.json SETS="host.shard_threads=1" \
    tools/bench --round-ms 100 --warmup-ms 20 --connections 16 --idle 50 --flight 512 >"$dir/out" 2>&1
status=$?
check_true "runs" test "$status" = 0
[ "$status" = 0 ] || { cat "$dir/out" && finish; }

is() { jq -e "$1" "$dir/bench.json" >/dev/null || { echo "$1"; jq -c 'del(.machine)' "$dir/bench.json"; return 1; }; }
# nginx may not be installed; booting takes longer than a smoke test may; at three times the load there may be nobody who was refused.
wanted=$(sed -n 's/^FIGURE(\([a-z0-9_]*\),.*/\1/p' tools/doorsim/bench/figures.def | grep -vx 'nginx\|overload_refusal_p99\|overload_refusal_max\|boot')
for figure in $wanted; do
    case $figure in
    idle_connection | overload_purchases) check_true "$figure" is ".figures[] | select(.name == \"$figure\") | .median >= 0" ;;
    *) check_true "$figure" is ".figures[] | select(.name == \"$figure\") | .median > 0" ;;
    esac
done
check_true "the account is exact" is '.account_exact'
check_true "rounds are kept" is 'all(.figures[]; (.rounds | length) >= 1)'
check_true "the parts of a purchase" is '[.cpu_us_per_purchase[].name] | contains(["server: bridge", "server: inventory", "Redis", "PostgreSQL", "generator"])'
check_true "targets are judged" is '[.targets[] | select(.is == "met" or .is == "dream" or .is == "MISSED")] | length >= 10'
check_true "and shown" grep -q '^p99 at half load, ms .*\(met\|dream\|MISSED\)$' "$dir/out"
check_true "compare knows it" "$BUILD/doorsim" compare "$dir/bench.json" "$dir/bench.json" >"$dir/compare"
check_true "by its figures" grep -q '^figures.purchases.median ' "$dir/compare"
finish
