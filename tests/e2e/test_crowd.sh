#!/bin/bash
# Crowds at few units, judged by what the shoppers were told and by SQL alone.
e2e_sets=()
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

held() { # LOTS
    sql "SELECT coalesce(sum(quantity), 0) FROM orders WHERE holds_units(state) AND lot_id IN ($1)"
}
told() { # HISTORY PHASE STATUS CODE: how many answers to purchases
    awk -v p="$2" -v s="$3" -v c="$4" '($3 == "buy" || $3 == "again") && $4 == p && $9 == s && $10 == c' \
        "$DIR/$1" | wc -l
}
# The largest number of purchases under way at one moment, by the shoppers' own clocks.
at_once() { # HISTORY
    awk '$3 == "buy" || $3 == "again" { n += $4 == "invoke" ? 1 : -1; if (n > most) most = n }
         END { print most + 0 }' "$DIR/$1"
}

seed 5000
# Where a process may not have that many open files, fewer shoppers are under way at once.
most=$(($(ulimit -n) - 200))
connections() { echo $(($1 < most ? $1 : most)); }

section "5,000 shoppers at once, 500 units"
make_sale 500 1 15m
check_true "the crowd comes to an end" crowd rush "$lot" -- --connections "$(connections 5000)" --rush-ms 0 --twice 0 --impatient 0 \
    --stubborn 0 --abandon 0 --late 0 --cancel 0 --keep 100
check_true "all are under way at once: $(at_once rush)" test "$(at_once rush)" -ge 4000
check_true "the account is exact" judge rush "$lot" --expect-held 500
check "exactly 500 are sold" 500 "$(held "$lot")"
check "to 500 buyers" 500 "$(sql "SELECT count(DISTINCT user_id) FROM orders WHERE lot_id = $lot")"
check "4,500 are told so" 4500 "$(told rush fail 409 sold_out)"
check_true "reconcile" reconciled

section "1,000 shoppers, one unit"
make_sale 1 1 15m
check_true "the crowd comes to an end" crowd one "$lot" -- --count 1000 --connections "$(connections 1000)" --rush-ms 0 --twice 0 \
    --impatient 0 --stubborn 0 --abandon 0 --late 0 --cancel 0 --keep 100
check_true "the account is exact" judge one "$lot" --expect-held 1
check "exactly one is sold: not two, not none" 1 "$(held "$lot")"
check "999 are told so" 999 "$(told one fail 409 sold_out)"

section "double clicks, a limit of one, more units than shoppers"
make_sale 1000 1 15m
check_true "the crowd comes to an end" crowd twice "$lot" -- --count 600 --connections "$(connections 1200)" --rush-ms 0 --twice 100 \
    --impatient 30 --stubborn 0 --abandon 0 --late 0 --cancel 0 --keep 100
check_true "the account is exact" judge twice "$lot" --expect-held 600
check_true "everybody has clicked twice" test "$(awk '$3 == "again" && $4 == "invoke"' "$DIR/twice" | wc -l)" -ge 600
check "one order each" "600 600" "$(sql "SELECT count(*) || ' ' || count(DISTINCT user_id) FROM orders WHERE lot_id = $lot")"

section "a second ticket does not get around the limit"
# One more round of the same shoppers with tickets of their own making: 1 per buyer is already held.
"$BUILD/doorsim" load --base "$BASE" --shoppers "$DIR/shoppers" --keys "$DIR/keys" --lot "$lot" --requests 600 \
    --connections 64 --history "$DIR/second" >"$DIR/second.load" 2>&1
check "nobody gets a second unit" "600 600" "$(sql "SELECT count(*) || ' ' || count(DISTINCT user_id) FROM orders WHERE lot_id = $lot")"
check "everybody is told why" 600 "$(told second fail 409 limit_reached)"

section "returned units: cancels, abandoned carts, late money"
make_sale 150 1 3s
check_true "the crowd comes to an end" crowd mixed "$lot" -- --count 1500 --connections "$(connections 500)" --rush-ms 500 --twice 20 \
    --stubborn 100 --abandon 25 --late 15 --cancel 15 --tame-ms 2500 --end-s 40
check_true "the account is exact" judge mixed "$lot" --expect-held 150
check "every unit is paid in the end" 150 "$(sql "SELECT sum(quantity) FROM orders WHERE lot_id = $lot AND state = 4")"
check_true "units came back on the way" test "$(sql "SELECT count(*) FROM orders WHERE lot_id = $lot AND state IN (7, 8, 10)")" -ge 10
check_true "reconcile" reconciled
