# shellcheck disable=SC2034,SC2154 # Tests use what is set here, and set what is used.
# A crash in the middle of a burst, for tests that have sourced tests/lib/e2e.sh and seeded 1,300
# shoppers: somebody holds the table of orders, so that purchases pile up undecided; then the test
# crashes something, and aftermath() looks at the account.
units=900 undecided_least=100

committed() { sql "SELECT count(*) FROM orders WHERE lot_id IN ($lots)"; }
has_committed() { [ "$(committed)" -ge "$1" ]; }
journalled() { redis hget '{s0}:meta' rows; }
has_journalled() { [ "$(journalled)" -ge "$1" ]; }
journal_empty() { [ "$(redis xlen '{s0}:j')" = 0 ]; }

# A crowd of 1,300 for 900 units in two lots, in the background: $shoppers; $lots, $history.
rush() { # HISTORY ORDERS-BEFORE [doorsim options…]
    history=$1
    make_sale $((units / 2)) 1 15m && lots=$lot && make_sale $((units / 2)) 1 15m && lots=$lots,$lot ||
        die "could not make a sale"
    crowd "$history" ${lots/,/ } -- --connections 400 --rush-ms 6000 --twice 20 --impatient 10 --stubborn 100 \
        --abandon 0 --late 0 --cancel 8 --tame-ms 3000 --end-s 55 "${@:3}" &
    shoppers=$!
    mine+=("$shoppers")
    check_true "orders are committed before" until_true 10 has_committed "$2"
    before=$(committed)
}
# Returns in mid-burst with the table held and purchases piling up: $rids in the journal, none of
# them decided, $before orders committed.
burst() { # HISTORY [SECONDS to wait with the table held, [doorsim options…]]
    rush "$1" 1 "${@:3}"
    check_true "somebody holds the table" lock_hold orders
    check_true "purchases pile up" until_true 10 has_journalled $((undecided_least + 100))
    sleep "${2:-0.5}" # Longer than the hold time: some have a receipt.
    before=$(committed)
    rids=$(journal_rids)
    undecided=$(decided_of <<<"$rids" | cut -d' ' -f3)
    check_true "at least $undecided_least purchases are undecided: $undecided" test "$undecided" -ge $undecided_least
}
# After the crash: the crowd goes on by itself, and everything adds up.
aftermath() { # GRACE-MS
    crowd_ends "$1"
    check_true "reconcile" reconciled
    check_true "the journal is empty" until_true 3 journal_empty
}
crowd_ends() { # GRACE-MS
    wait "$shoppers"
    check "the crowd comes to an end" 0 $?
    after=$(committed)
    check_true "orders are committed afterwards: $before before, $after in all" test "$after" -gt "$before"
    check_true "the account is exact, no 201 lost, every purchase has an outcome, every free unit is sold" \
        judge "$history" "$lots" --grace-ms "$1" --expect-held "$units"
}
outcomes() { # how often buyers in line were told STATE
    awk -v s="$1" '$3 == "poll" && $11 == s' "$DIR/$history" | wc -l
}

