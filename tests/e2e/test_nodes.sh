#!/bin/bash
# A sale over several processes on one machine, connected by ipc: a broker, two bridges, two nodes
# that can host the shard, one for the rest.  In the middle of sales the broker is killed, a bridge,
# the node with inventory and order, the one that could take its place takes it; the shard is moved.
# Each time the account is exact and nobody is left without an outcome.
# shellcheck disable=SC2034 # e2e.sh reads what is set here.
e2e_nodes="edge=edge core=shard shop=shop edge2=edge"
e2e_sets=(order.batch_max=64)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh
. tests/lib/crash.sh

seed 1300
first=$BASE second=http://127.0.0.1:$(($(cut -d: -f3 <<<"$BASE") + 1))

section "a sale, nothing breaks"
rush quiet 50 --rush-ms 3000
aftermath 3000
check "no message was lost between nodes" 0 "$(($(node_figure edge link_gap_total) + $(node_figure core link_gap_total)))"
check_true "they went by links" test "$(node_figure edge link_sent_total)" -gt 1000

section "kill -9 of the broker"
rush broker 50 --rush-ms 3000
node_kill broker
crowd_ends 3000
number=$(node_figure edge placement_number)
node_start broker
check_true "it is not ready before it has heard who is there" until_true 5 grep -q 'is not ready' <(
    until curl -s -m 2 "http://$(node_http broker)/readyz"; do sleep 0.03; done)
check_true "ready" until_true 15 node_ready broker
check_true "and operators are served, at once" reconciled 0
known() { [ "$(ctl node list | jq -s 'length')" = 5 ]; }
check_true "it knows all nodes again" until_true 10 known
later() { [ "$(node_figure edge placement_number)" -gt "$number" ]; }
check_true "and goes on with a later map" until_true 10 later
check_true "reconcile" reconciled
check "nothing was moved" 1 "$(grep -c 'seat=order awake=true' "$DIR/core.log")"

section "kill -9 of a bridge"
proxy=$(($(cut -d: -f3 <<<"$BASE") + 8))
tests/lib/failover.py "$proxy" "${first##*:}" "${second##*:}" &
mine+=($!)
BASE=http://127.0.0.1:$proxy
check_true "the balancer answers" until_true 5 ready
rush bridge 50 --rush-ms 3000
served=$(node_figure edge2 messages_handled_total)
check_true "the other bridge has shoppers, too: $served messages" test "$served" -gt 200
node_kill edge
sold=$(committed)
check_true "shoppers go on at the other: $sold orders" until_true 15 has_committed $((sold + 100))
node_start edge # The provider's callbacks go to this one.
check_true "it comes back" until_true 15 node_ready edge
aftermath 3000
BASE=$first

section "kill -9 of the node with inventory and order"
burst core 0.5 --rush-ms 6000
node_kill core
lock_release
node_start core
check_true "ready again" until_true 20 node_ready core
lost_found() { [ "$(decided_of <<<"$rids" | cut -d' ' -f3)" = 0 ]; }
check_true "what stood in the journal is decided, all of it" until_true 15 lost_found
aftermath 5000

section "another node that can host the shard takes it over"
sed 's/^node\.name=.*/node.name=core2/; s/^admin\.listen=.*/admin.listen=127.0.0.1:'$(($(cut -d: -f3 <<<"$first") + 7))'/' \
    "$DIR/core.args" >"$DIR/core2.args"
node_start core2
spare() { ctl node list | jq -e 'select(.name == "core2") | .spare == "shards 0"' >/dev/null; }
check_true "it is reported as spare" until_true 10 spare
check_true "it sleeps" grep -q 'event=spare node_name=core2' "$DIR/broker.log"
burst takeover 0.5 --rush-ms 6000
node_kill core
lock_release
owner() { [ "$(ctl shard list | jq -r .node)" = "$1" ]; }
check_true "the other has the shard" until_true 10 owner core2
check_true "what stood in the journal is decided, all of it" until_true 15 lost_found
aftermath 8000
node_start core
check_true "the first one comes back as spare" until_true 15 grep -q 'event=spare node_name=core ' "$DIR/broker.log"
check_true "and the incumbent stays" owner core2

section "the shard is moved in the middle of a sale"
rush move 50 --rush-ms 3000
check "moved" core "$(ctl shard move 0 core | jq -r .node)"
sleep 0.7
check "and back" core2 "$(ctl shard move 0 core2 | jq -r .node)"
aftermath 5000
check "not to a node that cannot" 4 "$(ctl shard move 0 edge >/dev/null 2>&1; echo $?)"
check "not to one that is not there" 3 "$(ctl shard move 0 nowhere >/dev/null 2>&1; echo $?)"

section "operators reach every node"
check_true "a shard recovers" ctl shard recover 0
check "an actor is restarted where it is" 1 "$(ctl actor restart edge2 bridge >/dev/null && sleep 0.5 &&
    ctl actor list | jq -r 'select(.node == "edge2" and .actor == "bridge") | .restarts')"
check_true "figures of another process" grep -q doorbuster_link_sent_total <<<"$(ctl node status edge)"
check "nobody restarts what is not there" 3 "$(ctl actor restart edge2 order >/dev/null 2>&1; echo $?)"

section "all of it"
check "the ledger sums to zero" "" "$(sql "SELECT currency FROM ledger GROUP BY currency HAVING sum(amount) <> 0")"
check "no rid has both an order and a refusal" 0 "$(sql "SELECT count(*) FROM orders JOIN refusal USING (rid)")"
check "each node number was given once" "$(sql 'SELECT count(*) FROM worker_lease')" \
    "$(sql 'SELECT count(DISTINCT holder) FROM worker_lease')"
