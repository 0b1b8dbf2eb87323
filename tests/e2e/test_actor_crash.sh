#!/bin/bash
# An actor crashes in the middle of a rush and the process lives: the order actor of this server
# fails an assertion once because of its state and then whenever it sees one certain purchase.  It
# is restarted, that purchase's message becomes a dead letter, the journal brings the purchase again,
# and the account is exact.
# Only the message that brings the reservation is poison: a double click asks about the same order,
# and would be a second dead letter.
# Then the bridge crashes while it holds a purchase: nobody is left who would answer that, so the
# HTTP port does, and the purchase is safe to repeat.
# The server is the right one but for two files, changed by sed and linked before it.
# MUTANT_CC, MUTANT_FLAGS, MUTANT_LIBS: as the build was made.
e2e_before() {
    local mutant=$e2e_dir/mutant program
    mkdir "$mutant"
    sed -E -z '
        s/static void on_message\(/#include <assert.h>\nstatic void mutant_place(const struct place *in) {\n    static unsigned count;\n    static int64_t poison = -1;\n    if (in->recovered || in->seen) return;\n    count++;\n    assert(count != 100);\n    if (count == 300) poison = in->order_id;\n    assert(in->order_id != poison);\n}\n\n&/;
        s/case MSG_place: order_on_place/case MSG_place: mutant_place(BODY(in, place)); order_on_place/' \
        actors/order/order.c >"$mutant/order.c"
    [ "$(grep -c mutant_place "$mutant/order.c")" = 2 ] || { echo "the mutant does not fit" && exit 1; }
    # A bridge that cannot bear one certain order.
    sed -E 's/^( *)case MSG_order_get: (bridge_on_order_get.*)/\1case MSG_order_get: assert(BODY(in, order_get)->order_id != 666); \2/' \
        actors/bridge/bridge.c >"$mutant/bridge.c"
    [ "$(grep -c '!= 666' "$mutant/bridge.c")" = 1 ] || { echo "the mutant does not fit" && exit 1; }
    # shellcheck disable=SC2086 # Lists of words.
    ${MUTANT_CC:-gcc} ${MUTANT_FLAGS:--O1 -g -std=c11 -pthread -D_GNU_SOURCE -I.} \
        -o "$mutant/doorbuster" "$mutant"/{order,bridge}.c "$BUILD"/broker/main/*.o "$BUILD/libdoorbuster.a" \
        ${MUTANT_LIBS:-$(pkg-config --libs libzmq libczmq hiredis libpq msgpack libevent \
            libevent_pthreads jansson libsodium libcurl lua5.1) -lm -pthread} || exit 1
    for program in doorctl doorsim paysim; do
        ln -s "$PWD/$BUILD/$program" "$mutant/$program"
    done
    BUILD=$mutant
}
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

metric() { curl -s -m 5 "$BASE/metrics" | awk -v name="doorbuster_$1" '$1 == name { print $2 }'; }
log_has() { grep -q "$1" "$DIR/doorbuster.log"; }

seed 1300
units=900
before=$server

section "the order actor crashes in mid-sale, three times"
make_sale "$units" 1 15m || die "could not make a sale"
epoch=$(sql "SELECT epoch FROM stock_shard WHERE shard = 0")
crowd rush "$lot" -- --connections 400 --rush-ms 2000 --twice 20 --impatient 10 --stubborn 100 \
    --abandon 0 --late 0 --cancel 8 --tame-ms 3000 --end-s 55
check "the crowd comes to an end" 0 $?
check "it crashed: of its state, with the batch of the poison, with the poison alone" 3 \
    "$(metric 'actor_crashes_total{address="order"}')"
check "one message is a dead letter" 1 "$(metric dead_letters_total)"
check_true "which the log names with its reason" log_has 'msg="dead letter" seat=order type=place reason=.*poison'
letters() { ctl dead list | jq -s "map(select(.what == \"message\" or .message == \"place\")) | length"; }
one_letter() { [ "$(letters)" = 1 ]; }
check_true "operators see it among the dead letters" until_true 5 one_letter
check "nobody else crashed" 0 "$(metric 'actor_crashes_total{address="inventory"}')"
check_true "the process is the same" kill -0 "$before"
check_true "it recovered: the epoch is raised" test \
    "$(sql "SELECT epoch FROM stock_shard WHERE shard = 0")" -gt "$epoch"

section "the account"
check_true "exact: no 201 lost, every purchase has an outcome, every free unit is sold" \
    judge rush "$lot" --grace-ms 8000 --expect-held "$units"
check_true "reconcile" reconciled
check_true "ready" ready

section "the bridge crashes while it holds a purchase"
check_true "the server is another one" server_restart http.hold=1500ms http.answer_max=2s
make_sale 5 1 15m || die "could not make a sale"
shopper 1290
until_true 5 get_ticket "$lot" || die "no ticket: $body"
check_true "the database stands still" lock_hold orders
purchase() { # Sets $DIR/held, $DIR/held.code, $DIR/held.ms.
    local began
    began=$(now_ms)
    curl -s -m 10 -D "$DIR/held" -o "$DIR/held.body" -w '%{http_code}' -X POST "$BASE/v1/orders" \
        -H "Authorization: Bearer $token" -H 'Content-Type: application/json' \
        --data-binary "{\"ticket\":\"$ticket\",\"quantity\":1,\"address\":$address}" >"$DIR/held.code"
    echo $(($(now_ms) - began)) >"$DIR/held.ms"
}
purchase &
purchase=$!
held() { [ "$(metric http_inflight)" = 1 ]; }
check_true "a purchase is held" until_true 1 held
sleep 0.3 # It is with its actors by now, not on its way to the bridge.
api GET /v1/orders/666 "$token"
check "the poison itself is answered at once" "500 internal" "$(problem)"
check "the bridge crashed once with its batch, and once with the poison alone" 2 \
    "$(metric 'actor_crashes_total{address="bridge"}')"
wait "$purchase"
check "who was held is answered all the same" 503 "$(cat "$DIR/held.code")"
check_true "in the time that was set: $(cat "$DIR/held.ms") ms" test "$(cat "$DIR/held.ms")" -ge 1900 -a \
    "$(cat "$DIR/held.ms")" -le 3500
check "with a time to come back" 1 "$(tr -d '\r' <"$DIR/held" | sed -n 's/^Retry-After: //Ip')"
check "and why" unavailable "$(jq -r .code "$DIR/held.body")"
check "it is counted" 1 "$(metric http_unanswered_total)"
check_true "and logged" log_has 'actor=http msg="no answer" route=order_create'
check "nothing is under way any more" 0 "$(metric http_inflight)"
lock_release
insist
check "again, and it is his" 201 "$status"
check "one order" 1 "$(sql "SELECT count(*) FROM orders WHERE lot_id = $lot")"
check_true "the account" reconciled
