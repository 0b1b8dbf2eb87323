#!/bin/bash
# The load generator against the real system: every curve and kind of people, an exact account, and
# its distrust of itself.  What it counts is compared with what PostgreSQL has; no speed is expected.
e2e_sets=(http.rate_user=0)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

load() { # NAME [OPTION…]
    local name=$1
    shift
    "$BUILD/doorsim" load --base "$BASE" --dsn "" --keys "$DIR/keys" --quiet --late-max-ms 60000 \
        --json "$DIR/$name.json" --report "$DIR/$name.html" "$@" >"$DIR/$name.out" 2>&1
}
is() { jq -e "$2" "$DIR/$1.json" >/dev/null || { jq -c 'del(.series)' "$DIR/$1.json" && return 1; }; } # NAME FILTER
shown() { cat "$DIR/$1.out"; }

indexes() { # and constraints, as one word
    sql "SELECT md5(string_agg(x, ';' ORDER BY x)) FROM (
        SELECT pg_get_indexdef(indexrelid) x FROM pg_index WHERE indrelid::regclass::text !~ '^pg_'
        UNION ALL SELECT conrelid::regclass || conname || pg_get_constraintdef(oid) FROM pg_constraint) all_of_them"
}

section "seed: many, and a past"
"$BUILD/doorsim" seed --dsn "" --keys "$DIR/keys" --count 3000 --orders 5000 >"$DIR/seed.log" 2>&1 ||
    die "could not seed: $(cat "$DIR/seed.log")"
check "accounts, sessions, past orders" "3000 3000 5000" "$(sql "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM session), (SELECT count(*) FROM orders)" | tr '|' ' ')"
check "the past is of many" 3000 "$(sql "SELECT count(DISTINCT user_id) FROM orders")"
before=$(indexes)
"$BUILD/doorsim" seed --dsn "" --keys "$DIR/keys" --count 20000 --orders 20000 >"$DIR/seed.log" 2>&1 ||
    die "could not seed: $(cat "$DIR/seed.log")"
check "and more with indexes made anew" "23000 23000 25000" "$(sql "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM session), (SELECT count(*) FROM orders)" | tr '|' ' ')"
check "which are the same ones" "$before" "$(indexes)"

make_sale 1000 1
people=(--users 1:3000 --lot "$lot" --connections 100)

section "an open loop: more than there is, from people of all kinds"
check_true "runs, and the account is right" load mixed "${people[@]}" --history "$DIR/mixed" --rate 1000 --seconds 2 \
    --curve poisson --clicking 20 --retrying 20 --leaving 10 --bots 2 || shown mixed
check_true "is called good" is mixed '.good'
check_true "all kinds came" is mixed '.outcomes | keys == ["bot", "clicking", "honest", "leaving", "retrying"]'
check_true "the promises were looked at" is mixed '.account.judged and (.account.promises | length > 5 and all(. == "kept"))'
check "all are sold" 1000 "$(sql "SELECT count(*) FROM orders WHERE lot_id = $lot")"
told=$(jq '[.outcomes[].created // 0] | add' "$DIR/mixed.json")
open=$(jq .account.without_answer "$DIR/mixed.json")
check_true "$told were told so, $open not told anything" test "$told" -le 1000 -a $((told + open)) -ge 1000
check_true "others were told what is true" is mixed '.outcomes.honest.sold_out > 0'
check_true "slices add up to all arrivals" is mixed '(.series.arrived_per_s | add) * .series.slice_s - .arrivals | . < 0.5 and . > -0.5'
check_true "queues were watched" is mixed '.series.queues | length > 0'
check_true "the page has its charts" test "$(grep -c '<svg' "$DIR/mixed.html")" = 6 -a "$(grep -c 'nothing was measured' "$DIR/mixed.html")" = 0
check "and nothing from outside" 0 "$(grep -cE 'src=|href=|<script' "$DIR/mixed.html")"
check_true "the recorded page is the same" "$BUILD/doorsim" report --json "$DIR/mixed.json" --html "$DIR/again.html"
check "to the last chart" 6 "$(grep -c '<svg' "$DIR/again.html")"

section "other curves"
make_sale 400 1
people=(--users 1:3000 --lot "$lot" --connections 100)
check_true "a spike" load spike "${people[@]}" --at-once 200 || shown spike
check_true "of so many at the beginning" is spike '.arrivals == 200 and .outcomes.honest.created == 200'
printf '%s\n' 0 0.1 0.1 0.25 0.3 >"$DIR/times"
check_true "a recorded one" load recorded --users 1001:3000 --lot "$lot" --arrivals "$DIR/times" || shown recorded
check_true "of five" is recorded '.arrivals == 5 and .outcomes.honest.created == 5'
check_true "a ramp, of pages" load pages --path /v1/sales --rate 400 --from-rate 0 --curve ramp --seconds 1 || shown pages
check_true "of half its end" is pages '.arrivals >= 195 and .arrivals <= 205 and .outcomes.honest.ok == .arrivals'
check_true "tickets" load tickets --users 2001:1000 --lot "$lot" --ask-tickets --rate 200 || shown tickets
check_true "each given" is tickets '.arrivals == 200 and .outcomes.honest.ok == 200'
check_true "compare finds its way" "$BUILD/doorsim" compare "$DIR/spike.json" "$DIR/recorded.json" >"$DIR/compare"
check_true "to the numbers" grep -q '^latency_ms.felt.p99 ' "$DIR/compare"

section "distrust"
make_sale 3000 1
people=(--users 4001:3000 --lot "$lot")
load late "${people[@]}" --at-once 300 --connections 1 --late-max-ms 1
check "who could not send in time says so" 1 "$?"
check_true "and why" is late '.good == false and (.faults | any(test("free connection")))'
sql "DELETE FROM orders WHERE order_id = (SELECT max(order_id) FROM orders WHERE lot_id = $lot)"
load short --users 8001:500 --lot "$lot" --at-once 100 --history "$DIR/short"
check "an account that does not add up is not right" 1 "$?"
check_true "and says so" grep -q '^FAIL' "$DIR/short.out"
