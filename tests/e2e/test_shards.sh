#!/bin/bash
# Four shards: lots are spread over them, a crowd buys from all, the server is killed in the middle
# and the account is exact; a shard that loses its memory recovers alone.
e2e_sets=(shards.count=4 order.batch_max=64)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

units=900 undecided_least=100
seed 1300

add_lot() { # UNITS [OPTION…]: a lot of a SKU of its own in $sale; its id
    local product new
    product=$(ctl product add Lantern | jq -er .product_id) && new=$(ctl sku add "$product" red | jq -er .sku_id) &&
        ctl stock receive "$new" "$1" >/dev/null &&
        ctl sale add-lot "$sale" "$new" "$1" 1999CNY --per-buyer-limit 1 "${@:2}" | jq -er .lot_id
}
shards_of() { sql "SELECT string_agg(shard::text, ' ' ORDER BY lot_id) FROM lot WHERE lot_id IN ($1)"; }
epochs() { sql "SELECT string_agg(epoch::text, ' ' ORDER BY shard) FROM stock_shard WHERE shard <> $1"; }
epoch_of() { sql "SELECT epoch FROM stock_shard WHERE shard = $1"; }
rows_in() { redis hget "{s$1}:meta" rows; }
undecided() {
    local k sum=0
    for k in 0 1 2 3; do sum=$((sum + $(rows_in $k))); done
    echo $sum
}
undecided_everywhere() { # at least so many in sum, some in each
    local k
    for k in 0 1 2 3; do [ "$(rows_in $k)" -ge 10 ] || return 1; done
    [ "$(undecided)" -ge "$1" ]
}
journals_empty() {
    local k
    for k in 0 1 2 3; do [ "$(redis xlen "{s$k}:j")" = 0 ] || return 1; done
}
committed() { sql "SELECT count(*) FROM orders WHERE lot_id IN ($lots)"; }
has_committed() { [ "$(committed)" -ge "$1" ]; }

section "lots are spread"
sale=$(ctl sale create Spread now +1d --pay-window 15m | jq -er .sale_id)
lots=$(for _ in 1 2 3 4; do add_lot $((units / 5)); done | paste -sd,),$(add_lot $((units / 5)) --shard 2)
check "each shard gets one, and the operator says where the fifth goes" "0 1 2 3 2" "$(shards_of "$lots")"
add_lot 5 --shard 4 >/dev/null 2>"$DIR/refused"
check "there is no shard 4" "shard must be a number from 0 to 3" "$(grep -o 'shard must be[^[]*[0-9]' "$DIR/refused")"
ctl sale open "$sale" >/dev/null

section "kill -9 in the middle"
crowd kill ${lots//,/ } -- --connections 400 --rush-ms 12000 --twice 20 --impatient 10 --stubborn 100 \
    --abandon 0 --late 0 --cancel 8 --tame-ms 1500 --end-s 30 &
shoppers=$!
mine+=("$shoppers")
check_true "orders are committed before" until_true 10 has_committed 1
check_true "somebody holds the table" lock_hold orders
check_true "purchases pile up undecided in every shard" until_true 3 undecided_everywhere $undecided_least
echo "committed $(committed), undecided $(undecided), in the shards $(rows_in 0) $(rows_in 1) $(rows_in 2) $(rows_in 3)"
check_true "kill -9" server_kill
lock_release
check_true "start it again" server_start
wait "$shoppers"
check "the crowd comes to an end" 0 $?
check_true "the account is exact, no 201 lost, every purchase has an outcome, every free unit is sold" \
    judge kill "$lots" --grace-ms 3000 --expect-held "$units"
check_true "reconcile" reconciled
check_true "the journals are empty" until_true 3 journals_empty
check "units are sold in every shard" 4 "$(sql "SELECT count(DISTINCT shard) FROM orders WHERE lot_id IN ($lots)")"
check "an order's id tells its shard" 0 "$(sql "SELECT count(*) FROM orders WHERE order_id % 64 <> shard")"

section "one shard loses its memory"
before=$(epochs 1) own=$(epoch_of 1)
redis del '{s1}:meta' >/dev/null
recovered() { [ "$(epoch_of 1)" -gt "$own" ]; }
check_true "it recovers" until_true 10 recovered
check_true "ready again" until_true 10 ready
check "the others do not" "$before" "$(epochs 1)"
check_true "reconcile" reconciled 5

section "a buyer at all shards"
sale=$(ctl sale create Small now +1d --pay-window 15m | jq -er .sale_id)
small=$(for k in 0 1 2 3; do add_lot 3 --shard $k; done)
ctl sale open "$sale" >/dev/null
register everywhere@example.org || die "could not register"
for lot in $small; do
    get_ticket "$lot" || die "no ticket: $body"
    insist
    check "bought" "201 awaiting_payment" "$status $(of .state)"
    ordered="${ordered-} $order"
done
api GET /v1/orders "$token"
check "all are listed" 4 "$(of '.orders | length')"
for order in $ordered; do
    api POST "/v1/orders/$order/cancel" "$token"
    check "cancelled" cancelled "$(of .state)"
done
check_true "reconcile: every unit is back" reconciled
check "nothing of it is sold" 0 "$(sql "SELECT sum(sold) FROM lot WHERE sale_id = $sale")"
check_true "close, and settle over all shards" ctl sale close "$sale"
settled() { [ "$(sql "SELECT state FROM sale WHERE sale_id = $sale")" = 9 ]; }
check_true "it is settled" until_true 6 settled
