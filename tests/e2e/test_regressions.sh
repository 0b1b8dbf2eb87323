#!/bin/bash
# Bugs that other flash-sale systems really had, as checks from outside.
e2e_sets=(payment.query_every=500ms)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

seed 400
sold() { sql "SELECT sold FROM lot WHERE lot_id = $1"; }
hot() { redis hget "{s0}:lot:$1" available; }
epoch() { sql "SELECT epoch FROM stock_shard WHERE shard = 0"; }
next=1
# The next shopper buys one of LOT; he asks again when the shop says 503 or 202, as he is told to.
buys() { # LOT [QUANTITY]: sets $answer, and $ticket, $order, $token
    local quantity=${2:-1}
    shopper $((next++))
    get_ticket "$1" || { answer=$(problem) && return; }
    insist "$ticket" "$token" "$quantity"
    answer="$status $(of '.code // .state')"
}

section "a hot projection that is lost is rebuilt from the ledger, not from the initial value"
make_sale 12 2
for _ in 1 2 3 4 5; do buys "$lot"; done
check "five are sold" "201 awaiting_payment 5" "$answer $(sold "$lot")"
held_ticket=$ticket held_order=$order held_token=$token
lose() { # WHAT REDIS-COMMAND…
    local what=$1 before had
    before=$(sold "$lot") had=$(epoch)
    shift
    redis "$@" >/dev/null
    buys "$lot"
    check "$what: the next one can buy" "201 awaiting_payment" "$answer"
    check "$what: one more is sold" $((before + 1)) "$(sold "$lot")"
    check "$what: stock is what the ledger says" $((12 - before - 1)) "$(hot "$lot")"
    check_true "$what: the epoch was raised" test "$(epoch)" -gt "$had"
}
lose "the lot's key is deleted" del "{s0}:lot:$lot"
lose "the shard's meta is deleted" del '{s0}:meta'
lose "the lot's key is another type" eval "redis.call('DEL', KEYS[1]) return redis.call('SET', KEYS[1], '99')" 1 "{s0}:lot:$lot"
lose "a field is missing" hdel "{s0}:lot:$lot" available
lose "everything is flushed" flushall
insist "$held_ticket" "$held_token"
check "who has bought before has the same order" "201 $held_order true" "$status $(of .order_id) $replayed"
check_true "the account is exact" reconciled

section "nor does the lot's loss sell one unit more than there are"
for _ in 1 2; do buys "$lot"; done
check "the last one" "201 awaiting_payment 12 0" "$answer $(sold "$lot") $(hot "$lot")"
buys "$lot"
check "one more is refused" "409 sold_out 12" "$answer $(sold "$lot")"
redis del "{s0}:lot:$lot" >/dev/null
buys "$lot"
check "also when the key is missing" "409 sold_out 12" "$answer $(sold "$lot")"

section "buyers that Redis forgot"
make_sale 10 1
buys "$lot"
redis del "{s0}:u:$lot" >/dev/null
insist
check "the same ticket is still the same order" "201 $order true" "$status $(of .order_id) $replayed"
old=$order
api POST "/v1/lots/$lot/tickets" "$token" '{}'
check_true "the limit still holds" test "$(problem)" = "409 limit_reached"
api POST "/v1/orders/$old/cancel" "$token" '{}'
check "the order can be cancelled" "200 cancelled 0" "$status $(of .state) $(sold "$lot")"
# The unit's entry is gone; that it is missing is found when it shall be given back.
all_back() { [ "$(hot "$lot")" = 10 ]; }
check_true "and its unit is on sale again" until_true 2 all_back
check_true "and the account is exact" reconciled

section "an older epoch changes nothing"
make_sale 10 1
order_epoch() { sql "SELECT rid >> 36 & 1048575 FROM orders WHERE order_id = $order"; }
sql "UPDATE stock_shard SET epoch = epoch + 1 WHERE shard = 0"
had=$(epoch)
buys "$lot"
check "somebody else has raised it: one can buy" "201 awaiting_payment" "$answer"
check_true "but not under the old one" test "$(order_epoch)" -ge "$had"
had=$((had + 300))
redis hset '{s0}:meta' epoch "$had" >/dev/null
buys "$lot"
check "Redis is of a later one: one can buy" "201 awaiting_payment" "$answer"
check_true "under a later one still" test "$(order_epoch)" -gt "$had" -a "$(epoch)" -gt "$had"
had=$(epoch)
redis hset '{s0}:meta' boot 4711 >/dev/null
buys "$lot"
check "Redis was installed by somebody else: one can buy" "201 awaiting_payment" "$answer"
check_true "after a recovery" test "$(order_epoch)" -gt "$had"
check "each of them once" "3 7" "$(sold "$lot") $(hot "$lot")"
check_true "the account is exact" reconciled

section "sell exactly N"
make_sale 3 3
for n in 1 2 3; do buys "$lot" && check "$n of 3" "201 awaiting_payment" "$answer"; done
buys "$lot"
check "the fourth is sold out" "409 sold_out" "$answer"
make_sale 3 3
buys "$lot" 2
check "two of three" "201 awaiting_payment" "$answer"
buys "$lot" 2
check "two of one" "409 sold_out" "$answer"
buys "$lot" 1
check "one of one" "201 awaiting_payment 3" "$answer $(sold "$lot")"

section "tickets are personal"
make_sale 10 1
shopper 390
other=$token
shopper 391
get_ticket "$lot"
buy "$ticket" "$other"
check "another user cannot use it" "403 ticket_foreign" "$(problem)"
altered=$(tr 'A-Za-y' 'B-Zb-z' <<<"${ticket:40:1}")
buy "${ticket:0:40}$altered${ticket:41}"
check "nor anybody an altered one" "403 ticket_invalid" "$(problem)"
first=$ticket
get_ticket "$lot" "$other"
check_true "tickets have nothing in common" test "${ticket:0:200}" != "${first:0:200}"
register twice@example.org
one=$token
get_ticket "$lot"
log_in twice@example.org
buy
check "nor he himself in another session" "403 ticket_foreign" "$(problem)"
buy "$ticket" "$one"
check "only in the one it was made for" 201 "$status"
for request in "GET ''" "POST cancel" "POST payments"; do
    read -r method what <<<"$request"
    what=${what//\'/}
    body_of='{}'
    [ "$what" != payments ] || body_of='{"provider":"sandbox"}'
    [ "$method" = POST ] || body_of=''
    api "$method" "/v1/orders/$order${what:+/$what}" "$other" "$body_of"
    check "nobody reaches another's order: $request" "404 not_found" "$(problem)"
done
check "it is as it was" "2 0" "$(sql "SELECT state FROM orders WHERE order_id = $order") $(sql "SELECT count(*) FROM payment WHERE order_id = $order")"

section "no winner without an order"
make_sale 5 1
shopper 380
get_ticket "$lot"
lock_hold orders || die "no lock"
buy
check "deducted, not decided" "202 pending 4" "$status $(of .state) $(hot "$lot")"
receipt=$(of .receipt)
server_kill
lock_release
server_start || die "the server does not start"
decided() { api GET "/v1/orders/$order?receipt=$receipt" "$token" && [ "$(of .state)" = awaiting_payment ]; }
check_true "there is an order for it" until_true 3 decided
check "and one unit is gone" "1 4" "$(sold "$lot") $(hot "$lot")"

section "an error of the database is not a refusal"
trigger() { # CONDITION SQLSTATE
    sql "CREATE OR REPLACE FUNCTION trip() RETURNS trigger LANGUAGE plpgsql AS \$\$
         BEGIN IF $1 THEN RAISE EXCEPTION 'tripped' USING ERRCODE = '$2'; END IF; RETURN NEW; END \$\$;
         CREATE OR REPLACE TRIGGER trip BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION trip()"
}
for state in 40001 40P01 55P03 57014; do
    make_sale 2 1
    shopper $((next++))
    get_ticket "$lot"
    trigger true "$state"
    buy
    check "$state: undecided, the unit stays taken" "202 pending 1" "$status $(of .state) $(hot "$lot")"
    receipt=$(of .receipt)
    sql 'DROP TRIGGER trip ON orders'
    check_true "$state: then it is an order" until_true 3 decided
    check "$state: one unit, once" "1 1" "$(sold "$lot") $(hot "$lot")"
done
make_sale 400 1
shopper 200
trigger "NEW.user_id = $user" 22012
crowd poison "$lot" -- --count 300 --connections 300 --rush-ms 0 --twice 0 --impatient 0 --stubborn 0 --abandon 0 \
    --late 0 --cancel 0 --keep 100 --end-s 8
check "a poisoned row takes no other one with it" "299 0" "$(sold "$lot") $(sql "SELECT count(*) FROM orders WHERE lot_id = $lot AND user_id = $user")"
back() { [ "$(hot "$lot")" = 101 ]; }
check_true "it is refused, and its unit comes back" until_true 3 back
check_true "and is told so" test "$(awk '$10 == "internal"' "$DIR/poison" | wc -l)" -ge 1
sql 'DROP TRIGGER trip ON orders'
check_true "the account is exact" reconciled

section "close-out writes once, then forgets"
make_sale 50 1
buys "$lot"
open_payment
pay_at_provider
check_true "one is paid" until_true 2 order_is paid "$order"
general=$(on_hand "$sku")
ctl sale close "$sale" >/dev/null
for _ in 1 2 3 4 5 6; do ctl sale settle "$sale" >/dev/null 2>&1 & settlers+=($!); done
sleep 0.02
server_kill
wait "${settlers[@]}" 2>/dev/null
server_start || die "the server does not start"
settled() { ctl sale settle "$sale" || [ "$(ctl sale list | jq -r "select(.sale_id == \"$sale\") | .state")" = settled ]; }
check_true "settled in the end, kill -9 or not" until_true 5 settled
ctl sale settle "$sale" >/dev/null 2>&1
check "49 units came back, once" $((general + 49)) "$(on_hand "$sku")"
check "by one movement" 1 "$(sql "SELECT count(*) FROM stock_movement WHERE sku_id = $sku AND counter = 'general' AND change = 49")"

section "stock is allocated, not copied"
draft_sale 500 1
check "what is in a sale has left general stock" 1000 "$(on_hand "$sku")"
check "and a sale cannot have more than there is" 4 "$(draft=$(ctl sale create More +2d +3d | jq -r .sale_id)
    ctl sale add-lot "$draft" "$sku" 1001 1999CNY >/dev/null 2>&1; echo $?)"
check "that moves nothing" 1000 "$(on_hand "$sku")"

section "deadlines outlive the process and cannot be put off"
make_sale 1 1 3s
shopper 370
get_ticket "$lot"
buy
began=$(now_ms) pay_by=$(of .pay_by)
open_payment
api GET "/v1/orders/$order" "$token"
check "opening a payment does not buy time" "$pay_by" "$(of .pay_by)"
server_kill
server_start || die "the server does not start"
check_true "it expires all the same" until_true 5 order_is expired "$order"
took=$(($(now_ms) - began))
check_true "on time: $took ms" test "$took" -ge 2900 -a "$took" -le 4500
check_true "the account is exact" reconciled
