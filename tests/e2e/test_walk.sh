#!/bin/bash
# One buyer's walk through the shop, by curl: what README.md shows, and what must not happen beside.
e2e_sets=(sale.pay_window=15m payment.query_every=500ms)
e2e_before() {
    mkdir "$e2e_dir/mail"
    /usr/bin/python3 tests/contract/smtp_receiver.py "$e2e_dir/mail" >"$e2e_dir/mail/port" &
    e2e_children+=($!)
    for _ in $(seq 100); do [ -s "$e2e_dir/mail/port" ] && break || sleep 0.05; done
    export DOORBUSTER_MAIL_SMTP_URL=smtp://127.0.0.1:$(cat "$e2e_dir/mail/port")
}
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

# ---- The walk -------------------------------------------------------------------------------------
section "register, log in, buy, pay"
make_sale 10 2 15m
api POST /v1/accounts '' '{"login":"ada@example.org","password":"correct horse"}'
check "register" 201 "$status"
api POST /v1/accounts '' '{"login":"ada@example.org","password":"correct horse"}'
check "a login is taken once" "409 login_taken" "$(problem)"
api POST /v1/sessions '' '{"login":"ada@example.org","password":"wrong horse"}'
check "a wrong password" "401 wrong_password" "$(problem)"
log_in ada@example.org
check "log in" 201 "$status"
check "a session says what it is" "string string string number" \
    "$(of '[.access_token, .refresh_token, .user_id, .expires_in] | map(type) | join(" ")')"
api GET /v1/sales
check "sales" "200 $sale open $lot 10 10 2 1999 CNY" "$status $(of ".sales[] | select(.sale_id == \"$sale\") |
    \"\(.sale_id) \(.state) \(.lots[0] | \"\(.lot_id) \(.allocated) \(.available) \(.per_buyer_limit) \(.price.amount) \(.price.currency)\")\"")"
etag=$(header ETag)
api GET /v1/sales '' '' -H "If-None-Match: $etag"
check "the page again, unchanged" "304 " "$status $body"
api GET "/v1/sales/$sale"
check "the sale alone" "200 $sale" "$status $(of .sale_id)"
api POST "/v1/lots/$lot/tickets" '' '{}'
check "a ticket is for people who are logged in" "401 unauthenticated" "$(problem)"
get_ticket "$lot"
check "ticket" 201 "$status"
check "a ticket says when" "string string" "$(of '[.not_before, .expires_at] | map(type) | join(" ")')"
buy
check "order" "201 $order awaiting_payment" "$status $(of '"\(.order_id) \(.state)"')"
check "an order says until when to pay" true "$(of '.pay_by | endswith("Z")')"
check "it is not a replay" '' "$replayed"
check "and where it is" "/v1/orders/$order" "$(header Location)"
buy
check "the same ticket again" "201 $order true" "$status $(of .order_id) $replayed"
api POST /v1/orders "$token" "{\"ticket\":\"$ticket\",\"quantity\":2,\"address\":$address}"
check "the same ticket for something else" "409 duplicate" "$(problem)"
api GET /v1/orders "$token"
check "my orders" "200 $order" "$status $(of '.orders | map(.order_id) | join(" ")')"
open_payment
check "payment" 201 "$status"
first=$payment
open_payment
check "a repeat is the open payment" "201 $first" "$status $payment"
check_true "pay at the provider" pay_at_provider
check_true "paid within 2 s" until_true 2 order_is paid "$order"
paid=$order paid_payment=$payment
api POST "/v1/orders/$order/cancel" "$token" '{}'
check "what is paid is not cancelled" "409 illegal_state" "$(problem)"
buy
check "the same ticket after paying" "201 $order paid true" "$status $(of '"\(.order_id) \(.state)"') $replayed"

section "mail"
mail_about() { grep -lis "^To: .*ada@example.org" "$DIR"/mail/*.eml | xargs -r grep -l "$paid" | wc -l; }
two_mails() { [ "$(mail_about)" -ge 2 ]; }
check_true "mail about the order and about the payment" until_true 5 two_mails
check "and not more" 2 "$(mail_about)"

# ---- Callbacks that must do nothing ------------------------------------------------------------------
section "callbacks"
txn=$(ledger | jq -r ".payments[] | select(.payment_id == \"$paid_payment\") | .provider_txn")
told() { # PAYMENT ORDER AMOUNT [CURRENCY [MERCHANT [TXN]]]
    printf '{"event_id":"ev_0123456789abcdef","type":"payment.succeeded","merchant":"%s","payment_id":"%s","order_id":"%s","provider_txn":"%s","amount":%s,"currency":"%s","created_at":%s}' \
        "${5:-doorbuster}" "$1" "$2" "${6:-tx_unheard_of}" "$3" "${4:-CNY}" "$(date +%s)"
}
money() { sql "SELECT (SELECT count(*) FROM ledger) || ' ' || (SELECT count(*) FROM payment) || ' ' ||
    (SELECT string_agg(state::text, ',' ORDER BY order_id) FROM orders)"; }
before=$(money)
callback "$(told "$paid_payment" "$paid" 1999 CNY doorbuster "$txn")"
check "a paid callback once more is taken" 200 "$status"
callback "$(told "$paid_payment" "$paid" 1999 CNY doorbuster "$txn")"
check "and again" 200 "$status"
check "with no effect" "$before" "$(money)"

get_ticket "$lot"
buy
check "a second order" 201 "$status"
open_payment
before=$(money)
txn=$(ledger | jq -r ".payments[] | select(.payment_id == \"$payment\") | .provider_txn")
good=$(told "$payment" "$order" 1999 CNY doorbuster "$txn")
callback "$good" another-secret
check "a wrong signature" "400 callback_invalid" "$(problem)"
callback "$good" '' $(($(date +%s) - 400))
check "a stale signature" "400 callback_invalid" "$(problem)"
callback "$good" '' $(($(date +%s) + 400))
check "a signature of the future" "400 callback_invalid" "$(problem)"
api POST /v1/payments/callbacks/sandbox '' "$good"
check "no signature" "400 callback_invalid" "$(problem)"
callback "$(told "$payment" "$order" 1998 CNY doorbuster "$txn")"
check "a wrong amount" "409 callback_mismatch" "$(problem)"
callback "$(told "$payment" "$order" 1999 USD doorbuster "$txn")"
check "a wrong currency" "409 callback_mismatch" "$(problem)"
callback "$(told "$payment" "$paid" 1999 CNY doorbuster "$txn")"
check "another order" "409 callback_mismatch" "$(problem)"
callback "$(told "$payment" "$order" 1999 CNY somebody-else "$txn")"
check_true "another merchant" test "$status" -ge 400 -a "$status" -lt 500
callback "$(told 4242 "$order" 1999 CNY doorbuster "$txn")"
check_true "a payment nobody knows is not taken" test "$status" -ge 400 -a "$status" -lt 500
api POST /v1/payments/callbacks/nobody '' "$good"
check_true "a provider nobody knows" test "$status" -ge 400 -a "$status" -lt 500
check "none of them had an effect" "$before" "$(money)"

# ---- Cancel, strangers ------------------------------------------------------------------------------
section "cancel, strangers"
available() { # LOT
    curl -s "$BASE/v1/sales" | jq -r ".sales[].lots[] | select(.lot_id == \"$1\") | .available"
}
available_is() { [ "$(available "$1")" = "$2" ]; }
check_true "two are taken" until_true 1 available_is "$lot" 8
ada=$token mine_order=$order
register bob@example.org
api GET "/v1/orders/$mine_order" "$token"
check "somebody else's order" "404 not_found" "$(problem)"
api POST "/v1/orders/$mine_order/cancel" "$token" '{}'
check "nor can he cancel it" "404 not_found" "$(problem)"
api POST "/v1/orders/$mine_order/payments" "$token" '{"provider":"sandbox"}'
check "nor pay it" "404 not_found" "$(problem)"
api GET /v1/orders "$token"
check "nor does he see it in his list" "200 0" "$status $(of '.orders | length')"
api POST "/v1/orders/$mine_order/cancel" "$ada" '{}'
check "the owner cancels" "200 cancelled" "$status $(of .state)"
check_true "the unit is on sale again within 1 s" until_true 1 available_is "$lot" 9
api POST "/v1/orders/$mine_order/cancel" "$ada" '{}'
check_true "to cancel twice changes nothing" test "$(of '.state // .code')" = cancelled -o "$(problem)" = "409 illegal_state"
check "still nine" 9 "$(sleep 0.5; available "$lot")"

# ---- Expiry ---------------------------------------------------------------------------------------
section "an order left alone expires"
token=$ada
make_sale 1 1 2s
last_sale=$sale
get_ticket "$lot"
buy
check "the only unit" 201 "$status"
expiring=$order expiring_ticket=$ticket
late_at=$(now_ms)
bob=$(log_in bob@example.org && echo "$token")
token=$bob
get_ticket "$lot"
bobs=$ticket bobs_order=$order
buy
check "it is sold out for others" "409 sold_out" "$(problem)"
token=$ada
buy "$expiring_ticket"
check "but not for who holds it" "201 $expiring awaiting_payment true" "$status $(of '"\(.order_id) \(.state)"') $replayed"
check_true "it expires" until_true 4 order_is expired "$expiring"
took=$(($(now_ms) - late_at))
check_true "on time, to the second: $took ms" test "$took" -ge 1900 -a "$took" -le 3300
token=$bob
bobs_turn() { buy "$bobs" "$bob" && [ "$status" = 201 ]; }
check_true "its unit is on sale again within 1 s" until_true 1 bobs_turn
check "for bob" "$bobs_order" "$(of .order_id)"
token=$ada
register cleo@example.org
cleo=$token
get_ticket "$lot"
cleos=$ticket
token=$ada
again() { buy "$expiring_ticket" "$ada" && echo "$status $(of '"\(.order_id) \(.state)"') $replayed"; }
check "the same ticket still gives that order, sold out" "201 $expiring expired true" "$(again)"
ctl sale pause "$last_sale" >/dev/null
sleep 0.6 # The hint has reached the bridge.
check "and paused" "201 $expiring expired true" "$(again)"
buy "$cleos" "$cleo"
check "while others are told so" "409 sale_paused" "$(problem)"
ctl sale resume "$last_sale" >/dev/null

# ---- Late payment ---------------------------------------------------------------------------------
section "late money"
make_sale 1 1 2s
get_ticket "$lot"
buy
late=$order
open_payment
check "a payment in time" 201 "$status"
check_true "not paid in time" until_true 4 order_is expired "$late"
check_true "paid too late, with stock left" pay_at_provider
check_true "the order gets a unit again" until_true 4 order_is paid "$late"
check "one unit sold" 1 "$(sql "SELECT sold FROM lot WHERE lot_id = $lot")"

make_sale 1 1 2s
get_ticket "$lot"
buy
late=$order
open_payment
late_payment=$payment
check_true "the second one expires, too" until_true 4 order_is expired "$late"
get_ticket "$lot" "$bob"
bobs_turn2() { buy "$ticket" "$bob" && [ "$status" = 201 ]; }
check_true "somebody else takes the unit" until_true 2 bobs_turn2
open_payment "$order" "$bob"
pay_at_provider
check_true "and pays" until_true 2 order_is paid "$order" "$bob"
open_late=$(ledger | jq -r ".payments[] | select(.payment_id == \"$late_payment\") | .status")
check_true "late money without stock" pay_at_provider "$(ledger | jq -r ".payments[] |
    select(.payment_id == \"$late_payment\") | \"$PAYSIM_URL/pay/\(.provider_txn)\"")"
refunded() { [ "$(ledger | jq -r ".payments[] | select(.payment_id == \"$late_payment\") | .refunded")" = 1999 ]; }
check_true "is refunded at the provider ($open_late before)" until_true 5 refunded
sleep 0.3
check "once" 1 "$(ledger | jq "[.refunds[] | select(.payment_id == \"$late_payment\" and .status == \"succeeded\")] | length")"
check_true "and the order says so" test "$(order_state "$late" "$ada")" = refunded -o "$(order_state "$late" "$ada")" = expired
check "nobody has two units" 1 "$(sql "SELECT sold FROM lot WHERE lot_id = $lot")"

# ---- Closed -----------------------------------------------------------------------------------------
section "close, settle"
make_sale 5 1 15m
get_ticket "$lot"
buy
open_payment
pay_at_provider
check_true "one of five is paid" until_true 2 order_is paid "$order"
general=$(on_hand "$sku")
ctl sale close "$sale" >/dev/null
closed_now() { get_ticket "$lot" "$cleo" || [ "$(of .code)" = sale_closed ]; }
check_true "closed within 1 s" until_true 1 closed_now
buy
check "the same ticket when closed" "201 $order paid true" "$status $(of '"\(.order_id) \(.state)"') $replayed"
check_true "settle" until_true 3 ctl sale settle "$sale"
check "four units are back in general stock" $((general + 4)) "$(on_hand "$sku")"
ctl sale settle "$sale" >/dev/null 2>&1
check "once" $((general + 4)) "$(on_hand "$sku")"
buy
check "the same ticket when settled" "201 $order paid true" "$status $(of '"\(.order_id) \(.state)"') $replayed"

# ---- Problems ---------------------------------------------------------------------------------------
section "problems"
api POST /v1/accounts '' '{"login":"x@example.org","password":"short"}'
check "a problem names field and rule" "422 out_of_range password" "$(problem) $(of .field)"
check "as RFC 9457" "application/problem+json" "$(header Content-Type | cut -d';' -f1)"
check "with a sentence, a trace id and whether to retry" "string string boolean" \
    "$(of '[.detail, .trace_id, .retryable] | map(type) | join(" ")')"
api POST /v1/accounts '' '{"password":"long enough"}'
check "what is missing" "422 missing_field login" "$(problem) $(of .field)"
api POST /v1/accounts '' '{"login":"x@example.org","password":"long enough","admin":true}'
check "what is unknown" "422 unknown_field admin" "$(problem) $(of .field)"
api POST /v1/orders "$token" '{"ticket":"a","quantity":"1"}'
check "what has the wrong type" "422 wrong_type quantity" "$(problem) $(of .field)"
api POST /v1/accounts '' '{"login":'
check "what is not JSON" "400 malformed" "$(problem)"
api POST /v1/orders "$token" "{\"ticket\":\"nonsense\",\"quantity\":1,\"address\":$address}"
check "what is no ticket" "403 ticket_invalid" "$(problem)"
api GET /v1/orders/12345 "$token"
check "what is not there" "404 not_found" "$(problem)"
api PUT /v1/orders "$token" '{}'
check "what one cannot do there" "405 method_not_allowed" "$(problem)"

# ---- Sessions -----------------------------------------------------------------------------------------
section "refresh, log out"
register carol@example.org
old=$refresh
api POST /v1/sessions/refresh '' "{\"refresh_token\":\"$old\"}"
check "refresh" 200 "$status"
token=$(of .access_token) new=$(of .refresh_token)
check_true "with a new refresh token" test "$new" != "$old"
api POST /v1/sessions/refresh '' "{\"refresh_token\":\"$new\"}"
check "and again" 200 "$status"
token=$(of .access_token) new=$(of .refresh_token)
api GET /v1/orders "$token"
check "the new token is good" 200 "$status"
api POST /v1/sessions/refresh '' "{\"refresh_token\":\"$old\"}"
check "a refresh token that was traded away" "401 login_again" "$(problem)"
api POST /v1/sessions/refresh '' "{\"refresh_token\":\"$new\"}"
check "has ended the session" "401 login_again" "$(problem)"
refused() { api GET /v1/orders "$token" && [ "$status" = 401 ]; }
check_true "its access token within 1 s, too" until_true 1 refused
log_in carol@example.org
api DELETE /v1/sessions/current "$token"
check "log out" 204 "$status"
check_true "401 within 1 s" until_true 1 refused
api POST /v1/sessions/refresh '' "{\"refresh_token\":\"$refresh\"}"
check "and no refresh" "401 login_again" "$(problem)"

# ---- SIGTERM ------------------------------------------------------------------------------------------
section "SIGTERM while a purchase is under way"
token=$ada
check_true "the account is exact" reconciled
make_sale 3 1 15m
get_ticket "$lot"
check_true "somebody holds the table" lock_hold orders
buy
check "a purchase is under way" "202 pending" "$status $(of .state)"
receipt=$(of .receipt)
kill -s TERM "$server"
sleep 0.5
check_true "the server waits for its decision" kill -0 "$server"
get_ticket "$lot" "$bob"
check_true "and takes no new ones" test "$status" = 503 -o "$status" = 000
check "nothing is committed yet" 0 "$(sql "SELECT count(*) FROM orders WHERE order_id = $order")"
lock_release
check_true "then it ends" until_true 6 gone "$server"
check "with the purchase decided" 1 "$(sql "SELECT count(*) FROM orders WHERE order_id = $order")"
check "and nothing left in the journal" 0 "$(redis xlen '{s0}:j')"
check_true "start again" server_start
api GET "/v1/orders/$order?receipt=$receipt" "$ada"
check "the receipt is answered" "200 awaiting_payment" "$status $(of .state)"
check_true "the account is exact" reconciled
check "the ledger sums to zero" "" "$(sql "SELECT currency FROM ledger GROUP BY currency HAVING sum(amount) <> 0")"
