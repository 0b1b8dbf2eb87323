#!/bin/bash
# More than the shop takes: it says so at once, with a time to come back, stays small, and is itself
# again afterwards.
inflight=60 cap=150
e2e_sets=(http.inflight_max=$inflight order.journal_cap=$cap http.hold=400ms)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

seed 1500
make_sale 1200 1
"$BUILD/doorsim" load --base "$BASE" --shoppers "$DIR/shoppers" --lot "$lot" --requests 20 --connections 4 >"$DIR/warm" 2>&1

# Asks for tickets of shoppers FROM to TO, then buys with all of them at once; one line each into
# $DIR/answers: status, seconds, Retry-After.
tickets() { # FROM TO
    local n token user
    for n in $(seq "$1" "$2"); do
        read -r user _ token < <(sed -n "${n}p" "$DIR/shoppers")
        printf 'url = "%s/v1/lots/%s/tickets"\nheader = "Authorization: Bearer %s"\ndata = "{}"\n' "$BASE" "$lot" "$token"
        printf 'header = "Content-Type: application/json"\nsilent\noutput = "%s/ticket-%s"\nnext\n' "$DIR" "$n"
    done >"$DIR/ask"
    curl -Z --parallel-max 50 -K "$DIR/ask" 2>/dev/null
}
purchases() { # FROM TO
    local n token user ticket
    for n in $(seq "$1" "$2"); do
        read -r user _ token < <(sed -n "${n}p" "$DIR/shoppers")
        ticket=$(grep -o '"ticket":"[^"]*"' "$DIR/ticket-$n" | cut -d'"' -f4)
        printf 'url = "%s/v1/orders"\nheader = "Authorization: Bearer %s"\nheader = "Content-Type: application/json"\n' "$BASE" "$token"
        printf 'data = "{\\"ticket\\":\\"%s\\",\\"quantity\\":1,\\"address\\":%s}"\n' "$ticket" "${address//\"/\\\"}"
        printf 'silent\noutput = "%s/answer-%s"\nwrite-out = "%%{http_code} %%{time_total} %%header{retry-after}\\n"\nnext\n' "$DIR" "$n"
    done >"$DIR/ask"
    curl -Z --parallel-immediate --parallel-max 300 -K "$DIR/ask" 2>/dev/null >"$DIR/answers"
}
answers() { awk -v s="$1" '$1 == s' "$DIR/answers" | wc -l; }
tickets 100 399
check "everybody has a ticket" 300 "$(cat "$DIR"/ticket-* | grep -o '"order_id"' | wc -l)"

section "300 purchases, $inflight may wait, the database stands still"
check_true "somebody holds the table" lock_hold orders
purchases 100 399
check "everybody is answered" 300 "$(wc -l <"$DIR/answers")"
check "nobody is told yes or sold out" "0 0" "$(answers 201) $(answers 409)"
check_true "some have a place in line: $(answers 202)" test "$(answers 202)" -ge 1 -a "$(answers 202)" -le "$cap"
check_true "the others are told to come back: $(answers 503)" test "$(answers 503)" -ge 100
check "all of them when" 0 "$(awk '$1 == 503 && $3 !~ /^[1-9][0-9]*$/' "$DIR/answers" | wc -l)"
check "nothing else is said" 300 "$(($(answers 202) + $(answers 503)))"
check "with a problem that may be tried again" "overloaded true" \
    "$(jq -r 'select(.status == 503) | "\(.code) \(.retryable)"' "$DIR"/answer-* | sort -u)"
slowest=$(awk '{ if ($2 > m) m = $2 } END { print int(m * 1000) }' "$DIR/answers")
check_true "nobody waits much longer than the hold time: $slowest ms" test "$slowest" -le 2500

section "the journal is full"
undecided() { redis hget '{s0}:meta' rows; }
for _ in 1 2 3 4 5 6; do purchases 100 399; done
check "it holds what it may" "$cap" "$(undecided)"
purchases 100 399
check "everybody is answered" 300 "$(wc -l <"$DIR/answers")"
check "nobody is told yes or sold out" "0 0" "$(answers 201) $(answers 409)"
check_true "who is in line stays there, the others come back later: $(answers 202), $(answers 503)" \
    test "$(answers 202)" -ge 1 -a "$(answers 503)" -ge $((300 - cap)) -a $(($(answers 202) + $(answers 503))) = 300
api GET /v1/sales
check "pages are still served" 200 "$status"

section "memory"
flood() { # SECONDS
    "$BUILD/doorsim" load --base "$BASE" --shoppers "$DIR/shoppers" --keys "$DIR/keys" --lot "$lot" --tickets 1000 --sold-out \
        --connections 128 --seconds "$1" >"$DIR/flood" 2>&1
}
flood 1
small=$(resident_kb)
flood 3
big=$(resident_kb)
check_true "it does not grow with the crowd: $small kB, $big kB" test "$big" -le $((small + 8192))
check_true "the flood was one: $(sed -n 's/ requests.*//p' "$DIR/flood") requests" \
    test "$(sed -n 's/ requests.*//p' "$DIR/flood")" -ge 3000
check "the journal holds what it may" "$cap" "$(undecided)"

section "afterwards"
lock_release
drained() { [ "$(undecided)" = 0 ]; }
check_true "everything in line is decided" until_true 5 drained
calm() { shopper 1400 && get_ticket "$lot" && buy && [ "$status" = 201 ]; }
check_true "buying is as usual" until_true 3 calm
check "who was in line has an order" "$(sql "SELECT sold FROM lot WHERE lot_id = $lot")" \
    "$(sql "SELECT count(*) FROM orders WHERE lot_id = $lot")"
check_true "more than were in line have one" test "$(sql "SELECT sold FROM lot WHERE lot_id = $lot")" -gt "$cap"
check_true "the account is exact" reconciled
