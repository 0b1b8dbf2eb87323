#!/bin/bash
# An actor crashes in the middle of a rush and the process lives: the order actor of this server
# fails an assertion once because of its state and then whenever it sees one certain purchase.  It
# is restarted, that purchase's message becomes a dead letter, the journal brings the purchase again,
# and the account is exact.
# Only the message that brings the reservation is poison: a double click asks about the same order,
# and would be a second dead letter.
# The server is the right one but for actors/order/order.c, changed by sed and linked before it.
# MUTANT_CC, MUTANT_FLAGS, MUTANT_LIBS: as the build was made.
e2e_before() {
    local mutant=$e2e_dir/mutant program
    mkdir "$mutant"
    sed -E -z '
        s/static void on_message\(/#include <assert.h>\nstatic void mutant_place(const struct place *in) {\n    static unsigned count;\n    static int64_t poison = -1;\n    if (in->recovered || in->seen) return;\n    count++;\n    assert(count != 100);\n    if (count == 300) poison = in->order_id;\n    assert(in->order_id != poison);\n}\n\n&/;
        s/case MSG_place: order_on_place/case MSG_place: mutant_place(BODY(in, place)); order_on_place/' \
        actors/order/order.c >"$mutant/order.c"
    [ "$(grep -c mutant_place "$mutant/order.c")" = 2 ] || { echo "the mutant does not fit" && exit 1; }
    # shellcheck disable=SC2086 # Lists of words.
    ${MUTANT_CC:-gcc} ${MUTANT_FLAGS:--O1 -g -std=c11 -pthread -D_GNU_SOURCE -I.} \
        -o "$mutant/doorbuster" "$mutant/order.c" "$BUILD"/broker/main/*.o "$BUILD/libdoorbuster.a" \
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
