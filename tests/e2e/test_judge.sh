#!/bin/bash
# The shoppers and their judge against a shop that is honest, and against shops that lie
# (tests/lib/fake_door.py): the honest one must be found exact, every lie by the rule it breaks.
# All shops run side by side, each with a schema of its own.
set -u
doorsim=${BUILD:?}/doorsim
work=$(mktemp -d "${TMPDIR:-/tmp}/doorsim-judge-XXXXXX")
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    wait
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP

for ((i = 1; i <= 300; i++)); do echo "$i $i $i"; done >"$work/shoppers"

# shop LIE: a crowd at one shop; the verdict goes to $work/LIE.verdict, the exit status with it.
shop() {
    local lie=$1 dir=$work/$1 verdict
    mkdir "$dir"
    python3 tests/lib/fake_door.py --port-file "$dir/port" --sql "$dir/sql" --lots 2 --units 12 \
        --pay-window 1.5 --lie "${lie/honest/}" &
    pid=$!
    trap 'kill "$pid" 2>/dev/null' EXIT
    for ((i = 0; i < 100; i++)); do
        [ -s "$dir/port" ] && break
        sleep 0.05
    done
    "$doorsim" demo --base "http://127.0.0.1:$(cat "$dir/port")" --shoppers "$work/shoppers" \
        --history "$dir/history" --sale 7 --no-judge --rush-ms 500 --tame-ms 1500 --end-s 30 \
        --abandon 25 --twice 40 --seed 5 >"$dir/crowd" 2>&1
    echo "$?" >"$dir/crowd.status"
    kill "$pid" && wait "$pid"
    export PGOPTIONS="-c search_path=fake_$lie"
    psql -qX -v ON_ERROR_STOP=1 -f schema/sql/0001_tables.sql -f "$dir/sql" \
        >"$dir/psql" 2>&1 || { echo "sql failed"; cat "$dir/psql"; }
    "$doorsim" judge --dsn "" --history "$dir/history" --settle-ms 0
    verdict=$?
    echo "exit status $verdict, crowd $(cat "$dir/crowd.status")"
}

lies=(honest forget oversell deny hoard both strange)
for lie in "${lies[@]}"; do
    psql -qX -c "CREATE SCHEMA fake_$lie" || exit 1
done
for lie in "${lies[@]}"; do
    (shop "$lie") >"$work/$lie.verdict" 2>&1 &
    pids+=($!)
done
wait "${pids[@]}"

declare -A rule=([forget]=lost [oversell]=oversold [deny]=contradiction [hoard]=undersold
    [both]=contradiction [strange]=other_order)
as_expected() { # LIE VERDICT
    if [ "$1" = honest ]; then
        grep -q '^exit status 0, crowd 0$' "$2" && grep -qx exact "$2"
    else
        grep -q '^exit status 1,' "$2" && grep -Eq "^FAIL +G[0-9]+ +${rule[$1]} +[1-9]" "$2"
    fi
}
passed=0 failed=0
for lie in "${lies[@]}"; do
    if as_expected "$lie" "$work/$lie.verdict"; then
        passed=$((passed + 1))
        echo "ok    $lie"
    else
        failed=$((failed + 1))
        echo "FAIL  $lie"
        cat "$work/$lie.verdict" "$work/$lie/crowd"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
