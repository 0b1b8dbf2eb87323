#!/bin/bash
# Three hosts, each a network namespace with one process of the sale, joined by a switch, which is a
# namespace of its own; shoppers and the payment provider are there.  In the middle of sales a host
# is cut off: the one with the shard, the one with the edge, for two seconds, and the broker's for
# longer than nodes are patient with each other.  Each time the account is exact and nobody is left
# without an outcome.
# The stores' sockets are files, which every host reaches.  Where namespaces are not permitted the
# test says so and is skipped.
# shellcheck disable=SC2034 # e2e.sh reads what is set here.
cd "$(dirname "$0")/../.." || exit 1

switch=${NETNS_SWITCH:-doorbuster-$$}
hosts="edge core broker"
net=10.77.0

remove_hosts() {
    local host
    for host in $hosts; do ip netns del "$switch-$host"; done
    ip netns del "$switch"
} 2>/dev/null
make_hosts() {
    local host number=1
    ip netns add "$switch" && ip -n "$switch" link set lo up &&
        ip -n "$switch" link add switch type bridge && ip -n "$switch" addr add $net.254/24 dev switch &&
        ip -n "$switch" link set switch up || return
    for host in $hosts; do
        ip netns add "$switch-$host" && ip -n "$switch-$host" link set lo up &&
            ip -n "$switch" link add "$host" type veth peer name eth0 netns "$switch-$host" &&
            ip -n "$switch" link set "$host" master switch up &&
            ip -n "$switch-$host" addr add $net.$number/24 dev eth0 &&
            ip -n "$switch-$host" link set eth0 up || return
        number=$((number + 1))
    done
}
if [ -z "${NETNS_SWITCH-}" ]; then
    trap remove_hosts EXIT
    if ! command -v ip >/dev/null || ! make_hosts >/dev/null 2>&1; then
        echo "skipped: network namespaces are not permitted here"
        exit 0
    fi
    NETNS_SWITCH=$switch ip netns exec "$switch" bash "$0" &
    child=$!
    trap 'kill -s TERM "$child" 2>/dev/null' INT TERM HUP
    until wait "$child"; status=$? && ! kill -0 "$child" 2>/dev/null; do :; done
    exit "$status"
fi

e2e_nodes="edge=bridge,session core=inventory,order,timer,payment,notifier,catalogue"
e2e_tcp=1
e2e_hosts="edge=$net.1@$switch-edge core=$net.2@$switch-core broker=$net.3@$switch-broker paysim=$net.254"
e2e_sets=(order.batch_max=64)
. tests/lib/e2e.sh
. tests/lib/crash.sh

cut() { ip -n "$switch" link set "$1" down; } # HOST
join() { ip -n "$switch" link set "$1" up; }
away() { ! node_ready "$1"; }

# Shoppers and the provider know loopback alone.
tests/lib/failover.py "${BASE#http://}" "$net.1:${BASE##*:}" &
mine+=($!)
tests/lib/failover.py "$net.254:${PAYSIM_URL##*:}" "${PAYSIM_URL#http://}" &
mine+=($!)
check_true "shoppers reach the edge" until_true 5 ready

seed 1300

for host in core edge; do
    section "the host of $host is cut off for two seconds"
    rush "$host" 50 --rush-ms 4000
    cut "$host"
    sold=$(committed)
    check_true "nobody reaches it" away "$host"
    sleep 0.5
    check_true "nothing is sold: $sold, $(committed)" test "$(committed)" -le $((sold + 128))
    sleep 1.3
    join "$host"
    check_true "it is back" until_true 15 node_ready "$host"
    aftermath 6000
done
check_true "they are hosts of their own" grep -q "tcp://$net.2:" <<<"$(ctl node list | jq -r .endpoints)"
check_true "messages went by links" test "$(node_figure edge link_sent_total)" -gt 1000

section "the broker's host is cut off for five seconds"
rush broker 50 --rush-ms 4000
cut broker
sleep 3
check_true "the sale goes on" until_true 10 has_committed $((before + 100))
sleep 2
join broker
aftermath 3000
known() { [ "$(ctl node list | jq -s 'length')" = 3 ]; }
check_true "it knows all nodes again" until_true 20 known
check "the ledger sums to zero" "" "$(sql "SELECT currency FROM ledger GROUP BY currency HAVING sum(amount) <> 0")"
