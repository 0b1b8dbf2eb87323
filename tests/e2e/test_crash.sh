#!/bin/bash
# Crashes in the middle of a burst: the server, Redis, its memory, PostgreSQL.  Each time somebody
# holds the table of orders, so that purchases pile up in the journal undecided; then the crash.
# The test counts both: at least 100 purchases undecided at that moment, and orders committed
# afterwards.  Nothing is repaired by hand: processes are started again with their own command.
e2e_sets=(order.batch_max=64)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

. tests/lib/crash.sh

seed 1300

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
# With a connection for each: 400 who wait for the table would keep all others out for two seconds, and
# then nothing is journalled in the last two.
burst redis 1 --connections 1300
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
