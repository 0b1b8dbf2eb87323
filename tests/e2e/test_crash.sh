#!/bin/bash
# Crashes in the middle of a burst: the server, Redis, its memory, PostgreSQL.  Each time somebody
# holds the table of orders, so that purchases pile up in the journal undecided; then the crash.
# The test counts both: at least 100 purchases undecided at that moment, and orders committed
# afterwards.  Nothing is repaired by hand: processes are started again with their own command.
e2e_sets=(order.batch_max=64)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

seed 1300
units=900 undecided_least=100

committed() { sql "SELECT count(*) FROM orders WHERE lot_id IN ($lots)"; }
has_committed() { [ "$(committed)" -ge "$1" ]; }
journalled() { redis hget '{s0}:meta' rows; }
has_journalled() { [ "$(journalled)" -ge "$1" ]; }
journal_empty() { [ "$(redis xlen '{s0}:j')" = 0 ]; }

# A crowd of 1,300 for 900 units in two lots; returns in mid-burst with the table held and purchases
# piling up: $rids in the journal, none of them decided, $before orders committed.
burst() { # HISTORY [SECONDS to wait with the table held, [doorsim options…]]
    history=$1
    make_sale $((units / 2)) 1 15m && lots=$lot && make_sale $((units / 2)) 1 15m && lots=$lots,$lot ||
        die "could not make a sale"
    crowd "$history" ${lots/,/ } -- --connections 400 --rush-ms 2000 --twice 20 --impatient 10 --stubborn 100 \
        --abandon 0 --late 0 --cancel 8 --tame-ms 3000 --end-s 55 "${@:3}" &
    shoppers=$!
    mine+=("$shoppers")
    check_true "orders are committed before" until_true 10 has_committed 1
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
    wait "$shoppers"
    check "the crowd comes to an end" 0 $?
    after=$(committed)
    check_true "orders are committed afterwards: $before before, $after in all" test "$after" -gt "$before"
    check_true "the account is exact, no 201 lost, every purchase has an outcome, every free unit is sold" \
        judge "$history" "$lots" --grace-ms "$1" --expect-held "$units"
    check_true "reconcile" reconciled
    check_true "the journal is empty" until_true 3 journal_empty
}
outcomes() { # how often buyers in line were told STATE
    awk -v s="$1" '$3 == "poll" && $11 == s' "$DIR/$history" | wc -l
}

section "kill -9 of the server"
burst server
check_true "kill -9" server_kill
# PostgreSQL still has the batch that was under way, and commits it for nobody.
lock_release
committed_for_nobody() { [ "$(committed)" -gt "$before" ]; }
check_true "a batch is committed whose settle is lost with the server" until_true 5 committed_for_nobody
sleep 0.2
read -r decided _ open < <(decided_of <<<"$rids")
check_true "it stands in the journal, decided: $decided" test "$decided" -ge 1
check_true "others stand there whose place is lost with the server: $open" test "$open" -ge $undecided_least
check_true "start it again" server_start
lost_found() { [ "$(decided_of <<<"$rids" | cut -d' ' -f3)" = 0 ]; }
check_true "what stood in the journal is decided, all of it" until_true 5 lost_found
aftermath 3000

section "kill -9 of Redis, the last two seconds of its log cut off"
burst redis 1
epoch=$(sql "SELECT epoch FROM stock_shard WHERE shard = 0")
kill -s STOP "$server" # So that we can look at what is left before it does.
tools/stack kill-redis "$STACK"
cut=$(tools/stack truncate-aof "$STACK" 2)
tools/stack start-redis "$STACK"
left=$(comm -12 <(sort <<<"$rids") <(journal_rids | sort) | wc -l)
gone=$(($(wc -l <<<"$rids") - left))
kill -s CONT "$server"
lock_release
check_true "the log is cut: $cut" grep -q 'cut [1-9]' <<<"$cut"
check_true "undecided purchases are gone from the journal: $gone; $left are left" test "$gone" -ge 50
epoch_raised() { [ "$(sql "SELECT epoch FROM stock_shard WHERE shard = 0")" -gt "$epoch" ]; }
check_true "the epoch is raised" until_true 10 epoch_raised
check_true "ready again" until_true 15 ready
aftermath 8000

section "FLUSHALL"
burst flush
redis flushall >/dev/null
lock_release
check_true "ready again" until_true 15 ready
aftermath 5000

section "PostgreSQL stopped hard"
burst postgres
tools/stack stop-pg "$STACK" immediate
lock_release
check "it is gone" 1 "$(sql 'SELECT 1' 2>/dev/null | wc -l | awk '{ print 1 - $1 }')"
sleep 0.5
tools/stack start-pg "$STACK"
check_true "ready again" until_true 15 ready
check_true "what stood in the journal is decided, all of it" until_true 5 lost_found
aftermath 5000

section "the power fails: all of them at once, two seconds of Redis lost"
# What stood in the journal was in the writer's memory, too; here nobody remembers it.
burst power
server_kill
tools/stack kill-redis "$STACK"
tools/stack kill-pg "$STACK"
lock_release
cut=$(tools/stack truncate-aof "$STACK" 2)
check_true "the log is cut: $cut" grep -q 'cut [1-9]' <<<"$cut"
tools/stack start-redis "$STACK"
tools/stack start-pg "$STACK"
check_true "start it again" server_start
aftermath 6000
lost=$(decided_of <<<"$rids" | cut -d' ' -f3)
check_true "purchases were lost: $lost" test "$lost" -ge 1
check_true "and who had a receipt was told: $(outcomes void) times" test "$(outcomes void)" -ge 1

section "all of it"
check "the ledger sums to zero" "" "$(sql "SELECT currency FROM ledger GROUP BY currency HAVING sum(amount) <> 0")"
check "no rid has both an order and a refusal" 0 "$(sql "SELECT count(*) FROM orders JOIN refusal USING (rid)")"
