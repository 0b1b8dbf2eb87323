#!/bin/bash
# More than the shop takes: it says so at once, with a time to come back, stays small, and is itself
# again afterwards.
inflight=60 cap=150
e2e_sets=(http.inflight_max=$inflight order.journal_cap=$cap http.hold=400ms http.rate_user=0)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

seed 1500
make_sale 1200 1
purchases() { # 300 at once; one line each in $DIR/answers
    /usr/bin/python3 tests/lib/burst.py "$BASE" "$lot" "$DIR/shoppers" 1 300 "$DIR" >"$DIR/answers"
}
answers() { awk -v s="$1" '$1 == s' "$DIR/answers" | wc -l; }
codes() { awk -v s="$1" '$1 == s { print $4 }' "$DIR/answers" | sort -u | paste -sd' '; }
slowest() { awk '$2 > m { m = $2 } END { print m + 0 }' "$DIR/answers"; }
undecided() { redis hget '{s0}:meta' rows; }

section "300 purchases at once, $inflight may wait, the database stands still"
check_true "somebody holds the table" lock_hold orders
purchases
check "everybody is answered" "300 0" "$(wc -l <"$DIR/answers") $(answers 0)"
check "nobody is told yes or sold out" "0 0" "$(answers 201) $(answers 409)"
check_true "some have a place in line: $(answers 202)" test "$(answers 202)" -ge 1 -a "$(answers 202)" -le "$cap"
check_true "the others are told to come back: $(answers 503)" test "$(answers 503)" -ge $((300 - cap))
check "all of them when" 0 "$(awk '$1 == 503 && $3 !~ /^[1-9][0-9]*$/' "$DIR/answers" | wc -l)"
check "and why" overloaded "$(codes 503)"
check "nothing else is said" 300 "$(($(answers 202) + $(answers 503)))"
check_true "nobody waits much longer than the hold time: $(slowest) ms" test "$(slowest)" -le 2000
quick=$(awk '$1 == 503 { print $2 }' "$DIR/answers" | sort -n | sed -n "$(($(answers 503) / 2))p")
check_true "refusals do not wait for it: half of them came within $quick ms" test "$quick" -le 350

section "the journal is full"
for _ in 1 2 3 4 5 6 7 8; do [ "$(undecided)" = "$cap" ] || purchases; done
check "it holds what it may" "$cap" "$(undecided)"
purchases
check "everybody is answered" "300 0" "$(wc -l <"$DIR/answers") $(answers 0)"
check "nobody is told yes or sold out" "0 0" "$(answers 201) $(answers 409)"
check "who is in line stays there, the others come back later" 300 "$(($(answers 202) + $(answers 503)))"
check_true "with $(answers 202) and $(answers 503)" test "$(answers 503)" -ge $((300 - cap))
api GET /v1/sales
check "pages are still served" 200 "$status"

section "memory"
flood() { # SECONDS
    "$BUILD/doorsim" load --base "$BASE" --shoppers "$DIR/shoppers" --keys "$DIR/keys" --lot "$lot" --tickets 1000 \
        --sold-out --connections 128 --seconds "$1" >"$DIR/flood" 2>&1
    asked=$(sed -n 's/ requests.*//p' "$DIR/flood")
}
flood 1
small=$(resident_kb)
flood 2
big=$(resident_kb)
check_true "it does not grow with the crowd: $small kB, $big kB after $asked more" \
    test "$big" -le $((small + 8192)) -a "$asked" -ge 2000
check "the journal holds what it may" "$cap" "$(undecided)"

section "afterwards"
lock_release
drained() { [ "$(undecided)" = 0 ]; }
check_true "everything in line is decided" until_true 5 drained
check "by an order each" "$cap $cap" "$(sql "SELECT sold FROM lot WHERE lot_id = $lot") $(sql "SELECT count(*) FROM orders WHERE lot_id = $lot")"
calm() { shopper 1400 && get_ticket "$lot" && buy && [ "$status" = 201 ]; }
check_true "buying is as usual" until_true 3 calm
for _ in $(seq 20); do
    [ "$(sql "SELECT count(*) FROM orders WHERE lot_id = $lot")" = 301 ] || purchases
done
check "whoever was told to come back gets one" 301 "$(sql "SELECT sold FROM lot WHERE lot_id = $lot")"
check_true "the account is exact" reconciled
