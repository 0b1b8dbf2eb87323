#!/bin/bash
# Does anything notice a missing guard?  Each mutant is the system without one: a source file changed
# by sed, compiled apart and linked before the library that holds the right one.  It is given to the
# simulator, or to the test that its row names.  A pattern that is not found fails; so does a mutant
# that lives through all its seeds, or passes its test.
#   tests/sim/test_mutants.sh [NAME…]
# BUILD: where make has put doorsim and its objects (build/gcc).  CC, FLAGS, LIBS: as it was built.
# SEEDS: how many to try (3000).  MOST: seconds for each (100).  DEEP=1: also the two that take long.
set -u
export LC_ALL=C
build=${BUILD:-build/gcc} seeds=${SEEDS:-3000} most=${MOST:-100}
CC=${CC:-gcc}
FLAGS=${FLAGS:--O1 -std=c11 -pthread -D_GNU_SOURCE -I. $(pkg-config --cflags lua5.1 hiredis libpq)}
LIBS=${LIBS:-$(pkg-config --libs libzmq libczmq hiredis libpq msgpack libevent libevent_pthreads \
    jansson libsodium libcurl lua5.1) -lm -pthread}
work=$(mktemp -d "${TMPDIR:-/tmp}/mutants-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

# ------------------------------------------------------------------------------------ the mutants
# docs/proof.md has the table of what was caught by what, and says which holes have none (H17, H22).
# Guards that cannot be missed alone, because others stand before them, lack those as well here.
# mutant NAME GUARD FILE SED WHAT [TEST]: the sed script sees the whole file as one line (-z).  Several
# files: FILE and SED are lists, separated by a line feed.  TEST: unit/test_x, contract/test_x,
# sim/real: the simulator with --store=real; options of the simulator (--…), alone or behind
# sim/real, with which it is found sooner.
mutant() {
    printf '%s\n' "$1" >>"$work/names"
    printf '%s' "$2" >"$work/$1.guard"
    printf '%s\n' "$3" >"$work/$1.file"
    printf '%s\n' "$4" >"$work/$1.sed"
    printf '%s' "$5" >"$work/$1.what"
    printf '%s' "${6-}" >"$work/$1.test"
}

mutant early_answer H9 actors/order/window.c \
    's/added = add\(self, in, now\) != NULL;/& struct order_view *early = ANSWER(out, in, order_view); early->order_id = place->order_id; early->state = order_state_awaiting_payment; early->rid = place->rid; early->user_id = place->user_id;/' \
    '201 before the commit'
mutant pg_epoch H16 tests/sim/model_pg.c \
    's/if \(is_old\(self, row->rid\)\) outcome = outcome_fenced;//' \
    'purchase_batch accepts any epoch'
mutant redis_epoch H7 'broker/redis/*.lua' 's/[^\n]*-- guard: epoch_check\n//g' \
    'scripts do not look at epoch and boot'
mutant seen 3.2 broker/redis/reserve.lua 's/[^\n]*-- guard: seen_check\n//g' \
    'reserve does not look whether the order has units'
mutant undo_twice 3.2 broker/redis/settle.lua \
    "s/[^\n]*-- guard: undo_once\n/if not from or held == '0' then lot.changed = true lot.available = lot.available + units lot.version = lot.version + 1 return '1' end\n/" \
    'an undo that comes again gives units again'
mutant undo_epoch H6 broker/redis/settle.lua 's/[^\n]*-- guard: undo_epoch\n//' \
    'an undo of an older epoch is applied to what was installed since' '--shards 1'
mutant all_or_nothing H3 broker/redis/reserve.lua \
    "s/if lot\.available < quantity then return 'O' end/if lot.short or lot.available < quantity then lot.short = true return 'O' end/" \
    'one who wants too much spoils the batch for those behind him'
mutant cap H15 broker/redis/reserve.lua "s/if rows >= cap then return 'B' end//" \
    'the journal grows without end while PostgreSQL is away'
mutant rows_counted H16 broker/redis/settle.lua 's/if deleted == 1 and entry_count/if entry_count/' \
    'a settle that comes again counts rows off again'
mutant lost_key H8 'broker/redis/*.lua' 's/[^\n]*-- guard: lost_key\n//g' \
    'a key that is gone counts as empty'
mutant refused_kept 3.3 actors/order/decided.c \
    's/(case outcome_refused:[^}]*)if \(!undo_row\([^;]*return false;/\1/' \
    'a refused reservation is not undone'
mutant no_raise H23 actors/inventory/recovery.c \
    's/(void inventory_on_drained\([^{]*\{.*\n) *raise_epoch\(self, now, out\);\n( *return;\n *\}\n *self->drain_left)/\1 self->install.epoch = self->epoch; inventory_open(self, now, out);\n\2/' \
    'recovery opens the journal it found without raising the epoch'
mutant epoch_run H7 broker/redis/script_plan.c \
    's/if \(use->run_id\.size > 0 \&\& run_id != NULL \&\& !text_is\(use->run_id, run_id\)\) return;//' \
    'an epoch_use meant for the Redis before is believed'
mutant pg_backwards H11 actors/inventory/recovery.c \
    's/recover->redis_epoch = [^;]*;/recover->redis_epoch = 0;/' \
    'the epoch follows PostgreSQL backwards'
mutant pg_history H11 actors/inventory/recovery.c \
    's/row->timeline == self->timeline \&\& row->epoch >= self->epoch/row->epoch >= self->epoch/' \
    'nobody notices that PostgreSQL has failed over'
mutant foreign_epoch 3.4 actors/inventory/recovery.c \
    's/ \|\| self->foreign >= FOREIGN_BEATS//' \
    'an epoch that was raised by a lost commit stays'
mutant settle_once 3.4 actors/order/entries.c \
    's/(void order_send_settles\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'a lost settle is never repeated'
mutant undo_once_sent 3.4 actors/order/undos.c \
    's/(void order_send_undos\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'a lost undo is never repeated'
mutant return_once H13 actors/order/returns.c \
    's/(void order_send_returns\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'a return with an unknown commit is not repeated'
mutant unknown_refused H13 actors/order/window.c \
    's/order_row_again\(self, row\); \/\* Committed/struct decided lost = { .rid = row->rid, .outcome = outcome_refused, .reason = PROBLEM_sold_out, .order_id = row->order_id }; struct message told = { { .type = MSG_decided }, \&lost }; order_on_decided(self, \&told, now, out); \/* Committed/' \
    'an unknown commit counts as a refusal'
mutant journal_unread H14 actors/order/journal.c \
    's/(void order_read_journal\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'the journal is never read'
mutant no_recover 3.4 actors/order/order.c \
    's/self->recovered = false;/self->recovered = true;/' \
    'the writer starts without asking for a recovery'
mutant void_early H10 tests/sim/model_pg.c \
    's/rid_epoch\(want->rid\) < model_pg_epoch\(self, want->rid\)\s*\? order_state_void\s*: order_state_pending/order_state_void/' \
    'an absent rid is void under its own epoch as well'
mutant refusal_lost H2 tests/sim/model_pg.c \
    's/if \(outcome == outcome_refused \&\& rid_before != row->rid\) keep_refusal\([^;]*;//' \
    'refusals are not kept'
mutant return_paid H21 tests/sim/model_pg.c \
    's/(row->to == order_state_cancelled\) return) unpaid\(order->state\)/\1 model_pg_holds(order->state)/' \
    'what is paid can be cancelled'
mutant capture_late H21 tests/sim/model_pg_pay.c \
    's/if \(late\) return pay_outcome_late;/if (late) order->state = order_state_paid; if (late) return pay_outcome_paid;/' \
    'late money makes an expired order paid without a unit'
mutant row_numbers 3.4 tests/sim/model_pg_recover.c \
    's/row->row = \+\+to->rows;/to->rows++;/' \
    'rows of a recovery are counted, not numbered'
mutant return_epoch H6 tests/sim/model_pg.c \
    's/if \(is_fenced\(self, order, row\)\) return false;//' \
    'a return asked for by a writer cut off is done after the recovery'
mutant settle_unpaid 3.4 tests/sim/model_pg_shop.c 's/if \(unpaid_left\(self, sale\)\)/if (false)/' \
    'a sale is settled while orders are unpaid'
mutant holders 3.4 actors/bridge/hint.c \
    's/if \(bloom_may_have\([^;]*return PROBLEM_none;//' \
    'the bridge refuses holders by the hint'
mutant hint_for_ever 3.4 actors/bridge/hint.c 's/ \|\| now >= lot->hint_until//' \
    'a hint that is not repeated is believed for ever'
mutant hint_older 3.4 actors/bridge/hint.c 's/return hint->version < lot->hint_version;/return false;/' \
    'an older hint replaces a newer one' unit/test_bridge
mutant generation 3.4 actors/bridge/bridge.c \
    's/slots\[i\]\.generation = generation;/slots[i].generation = 0 * generation;/' \
    'a bridge numbers its requests from 0 after every start' unit/test_bridge
mutant install_once 3.2 broker/redis/install_lot.lua 's/if (call\(.SADD[^)]*\)) == 0 then[^\n]*/\1/' \
    'a lot installed twice loses its holders'
mutant install_order 3.2 broker/redis/install_holders.lua 's/[^\n]*-- guard: install_order\n//g' \
    'holders may come before their lot'
mutant unverified 3.4 actors/inventory/recovery.c \
    's/verify\(self, out\);\n *verify_record/verify_record/' \
    'an open shard never asks Redis who it is'
mutant unlooked 3.4 actors/inventory/lots.c \
    's/look_again\(self, lot, out\);/(void)look_again;/' \
    'a sold-out level is believed for ever' '--shards 1'
mutant late_kept G10 actors/payment/late.c \
    's/default: return true;/default: return false;/' \
    'late money that gets no unit does not go back'
mutant mail_order G13 tests/sim/model_pg_outbox.c 's/if \(!older_is_left\(self, row\)\)/if (row != NULL)/' \
    'messages of an order overtake each other'
mutant pending_first G6 actors/order/reads.c \
    's/order_find->rid = want->rid != 0/struct order_view *early = waiting_rid(self, want) != 0 ? ANSWER(out, in, order_view) : NULL; if (early != NULL) { early->order_id = want->order_id; early->state = order_state_pending; early->user_id = want->user_id; } &/' \
    'a place in line is told before the record is asked'
mutant redis_state 3.2 broker/redis/reserve.lua \
    "s/if lot\.state ~= 'open' then return refusals\[lot\.state\] or 'F' end//" \
    'a lot that is paused or closed goes on selling'
mutant redis_short 3.2 broker/redis/reserve.lua \
    "s/if lot\.available < quantity then return 'O' end//" \
    'Redis hands out what it has not'
mutant undo_early 3.2 broker/redis/settle.lua \
    "s/if of_epoch > epoch then return 'T' end//" \
    'an undo of an epoch that is being installed is done before it' contract/test_redis_contract
# What only several shards can show: with one, each of these is the system as it is.
mutant shard_epoch H4 tests/sim/model_pg.c \
    's/return epoch == 0 \|\| rid_epoch\(rid\) != epoch;/for (uint32_t k = 0; k < PG_SHARDS_MAX; k++) if (epoch != 0 \&\& rid_epoch(rid) == self->shards[k].epoch) return false; return true;/' \
    'the epoch of any shard will do: a moved shard whose old writer goes on'
mutant shard_recover H5 tests/sim/model_pg_recover.c \
    's/ \|\| lot->shard != want->shard//; s/ \&\& lot->shard == want->shard//' \
    'a recovery brings the lots of all shards'
mutant shard_late 3.4 actors/payment/late.c 's/outbox_about\(out, id_shard\([^;]*;//' \
    'late money asks for its unit wherever the answer before it came from'
mutant shard_lot 3.4 actors/catalogue/life.c \
    's/outbox_about\(out, lot->shard\);\n( *if \(wanted)/\1/' \
    'a pause of a lot goes to the shard that has spoken last'
mutant shard_rid 3.4 broker/redis/script_answer.c \
    's/int64_t entry = rid_make\(state->shard,/int64_t entry = rid_make(0,/' \
    'rids of all shards are numbered as if they were of the first'
mutant shard_key 3.2 broker/redis/script_words.c \
    's/(call_print\(call, memory, "\{s%u\}:%s:%lld", )state->shard/\10U/' \
    'the lots of all shards that share a Redis have one key'
# Guards behind which another one stands, each with that one missing as well.  PostgreSQL's limit and
# its dup rule can only be missed when Redis lets somebody through; that it does not is G7 and 3.2.
mutant pg_limit H20 "broker/redis/reserve.lua
tests/sim/model_pg.c" "s/if \(field and held_by\(field\) or 0\) \+ quantity > lot\.limit then return 'L' end//
s/held \+ row->quantity > lot->limit/held < 0/" \
    'neither Redis nor PostgreSQL looks at the limit'
mutant dup_same H1 "broker/redis/reserve.lua
tests/sim/model_pg.c" "s/[^\n]*-- guard: seen_check\n//g
s/return outcome_dup;/return outcome_same;/" \
    'another reservation of the same order is made, and counts as the same'
# The guard row, and what stands before it: an undo that gives too much.
mutant pg_guard 3.3 "broker/redis/settle.lua
tests/sim/model_pg.c" "s/lot\.available = lot\.available \+ units/lot.available = lot.available + 3 * units/
s/if \(lot->sold \+ row->quantity > lot->allocated\) return PROBLEM_sold_out;//" \
    'PostgreSQL sells what Redis offers'

# ----------------------------------------------------------- what the simulator has only as a model
mutant return_anybody G16 actors/order/returns.c \
    's/if \(got->outcome == outcome_refused \&\& in->head\.request != back->number\) return;//' \
    'a refusal that comes again is told to whoever cancels now' unit/test_order_returns
# PostgreSQL's functions themselves, and its connection.
mutant sql_epoch 3.3 "schema/sql/0002_purchase.sql
schema/sql/0013_purchase_short.sql" "s/[^\n]*-- guard: no_epoch_check\n//
s/b\.low >> 36 = ALL \(epochs\) AND b\.high >> 36 = ALL \(epochs\) AND //" \
    'purchase_batch accepts any epoch' contract/test_pg_purchase
mutant sql_dup H1 schema/sql/0002_purchase.sql 's/outcome := 3;/outcome := 2;/' \
    'another rid of the same order counts as the same' contract/test_pg_purchase
mutant sql_content 3.3 schema/sql/0002_purchase.sql \
    's/IF o\.user_id <> r_user OR o\.lot_id <> r_lot OR o\.quantity <> r_quantity[^T]*THEN/IF false THEN/' \
    'a ticket used for something else is the same purchase' contract/test_pg_purchase
mutant sql_refusal H2 schema/sql/0002_purchase.sql \
    's/IF d\.outcome = 4 AND \(o\.rid IS NULL OR o\.rid <> r\.rid\) THEN/IF false THEN/' \
    'refusals are not kept' contract/test_pg_purchase
mutant sql_order 3.3 schema/sql/0002_purchase.sql 's/ORDER BY t\.rid, t\.n LOOP/ORDER BY t.n LOOP/' \
    'rows are decided as they come, not in the order of their rids' contract/test_pg_purchase
mutant poison 3.3 broker/pg/lane.c 's/uint32_t half = range->count \/ 2;/uint32_t half = range->count;/' \
    'a batch with a poison row is never cut' contract/test_pg_purchase
mutant sql_prefix H3 schema/sql/0002_purchase.sql \
    's/WHEN l\.sold \+ taken\[place\] \+ r\.quantity > l\.allocated THEN/WHEN l.sold + (SELECT sum(q) FROM unnest(quantities) q) > l.allocated THEN/' \
    'a batch is accepted as a whole or not at all' contract/test_pg_purchase
mutant sql_guard 3.3 "schema/sql/0002_purchase.sql
schema/sql/0010_purchase_usual.sql" "s/WHEN l\.sold \+ taken\[place\] \+ r\.quantity > l\.allocated THEN/WHEN false THEN/
s/ OR l\.sold \+ b\.units > l\.allocated//" \
    'only the CHECK of the row is left' contract/test_pg_purchase
mutant sql_limit H20 "schema/sql/0002_purchase.sql
schema/sql/0010_purchase_usual.sql" "s/r\.kind = 1 AND held \+ r\.quantity > l\.per_buyer_limit/false/
s/OR NOT purchase_within_limits\(b, users, NULL, quantities\)//" \
    'PostgreSQL trusts the limit of Redis' contract/test_pg_purchase
mutant sql_paid H21 schema/sql/0012_return_mover.sql \
    's/WHEN 7 THEN o\.state IN \(2, 3\)/WHEN 7 THEN o.state IN (2, 3, 4)/' \
    'what is paid can be cancelled' contract/test_pg_purchase
mutant sql_return H6 schema/sql/0012_return_mover.sql \
    's/ AND r\.epoch IN \(0, s\.epoch\)//' \
    'returns are not fenced' contract/test_pg_model
mutant sql_backwards H11 schema/sql/0003_orders.sql \
    's/greatest\(s\.epoch, redis_epoch\)/s.epoch/' \
    'the epoch follows PostgreSQL backwards' contract/test_pg_recovery
mutant sql_void H10 schema/sql/0003_orders.sql \
    's/CASE WHEN \(receipt >> 36\) \& 1048575 < now_epoch THEN 12 ELSE 1 END/12/' \
    'an absent rid is void under its own epoch as well' contract/test_pg_recovery
mutant sql_weak_lock H4 "schema/sql/0002_purchase.sql
schema/sql/0003_orders.sql" "s/FOR SHARE LOOP/FOR KEY SHARE LOOP/
s/WHERE s\.shard = k FOR UPDATE/WHERE s.shard = k FOR NO KEY UPDATE/" \
    'locks of the epoch that do not exclude each other' contract/test_pg_interleavings
mutant sql_snapshot H5 schema/sql/0003_orders.sql \
    's/(    INSERT INTO stock_shard \(shard, epoch\) VALUES \(k, 0\))/    CREATE TEMP TABLE orders ON COMMIT DROP AS SELECT * FROM orders;\n\1/' \
    'a recovery reads orders as they were before it waited' contract/test_pg_interleavings
# The same, and some more, seen by the simulator over the real PostgreSQL.
mutant real_epoch 3.3 "schema/sql/0002_purchase.sql
schema/sql/0013_purchase_short.sql" "s/[^\n]*-- guard: no_epoch_check\n//
s/b\.low >> 36 = ALL \(epochs\) AND b\.high >> 36 = ALL \(epochs\) AND //" \
    'purchase_short accepts any epoch' sim/real
mutant real_weak_lock H4 "schema/sql/0002_purchase.sql
schema/sql/0003_orders.sql" "s/FOR SHARE LOOP/FOR KEY SHARE LOOP/
s/WHERE s\.shard = k FOR UPDATE/WHERE s.shard = k FOR NO KEY UPDATE/" \
    'locks of the epoch that do not exclude each other' sim/real
mutant real_snapshot H5 schema/sql/0003_orders.sql \
    's/(    INSERT INTO stock_shard \(shard, epoch\) VALUES \(k, 0\))/    CREATE TEMP TABLE orders ON COMMIT DROP AS SELECT * FROM orders;\n\1/' \
    'a recovery reads orders as they were before it waited' sim/real
mutant real_refusal H2 schema/sql/0002_purchase.sql \
    's/IF d\.outcome = 4 AND \(o\.rid IS NULL OR o\.rid <> r\.rid\) THEN/IF false THEN/' \
    'refusals are not kept' sim/real
mutant real_void H10 schema/sql/0003_orders.sql \
    's/CASE WHEN \(receipt >> 36\) \& 1048575 < now_epoch THEN 12 ELSE 1 END/12/' \
    'an absent rid is void under its own epoch as well' sim/real
mutant real_paid H21 schema/sql/0012_return_mover.sql \
    's/WHEN 7 THEN o\.state IN \(2, 3\)/WHEN 7 THEN o.state IN (2, 3, 4)/' \
    'what is paid can be cancelled' sim/real
mutant real_settle 3.4 schema/sql/0004_shop.sql 's/AND o\.state IN \(2, 3\)\) THEN/AND false) THEN/' \
    'a sale is settled while orders are unpaid' 'sim/real --shards 1'
mutant sync_wait H12 broker/pg/link.c 's/self->doubtful = true;//' \
    'a cancelled wait for a standby counts as a commit' contract/test_pg_standby
mutant noscript H18 broker/redis/redis.c 's/reply_is_error\(reply, "NOSCRIPT"\) \&\& /false \&\& /' \
    'scripts that vanish are not loaded again' contract/test_redis_faults
mutant wrong_type H19 broker/redis/reserve.lua \
    "s/  local good, problem = pcall\(call, 'XADD'/  call('HSET', KEYS[1], 'seq', tostring(seq))\n&/" \
    'something is written before the one write that can fail' contract/test_redis_contract

# ------------------------------------------------------------------------------------------ trying

objects=$(echo "$build"/tools/doorsim/*.o)
assets=$(sed 's/^assets: //' "$build/gen/assets.list")
archives="-Wl,--start-group $build/libtests.a $build/libdoorbuster.a -Wl,--end-group"

change() { # FILE SED: a changed copy under $1's name in the mutant's folder
    mkdir -p "$folder/${1%/*}"
    sed -zE "$2" "$1" >"$folder/$1"
}

make_mutant() { # one object for each changed file; Lua and SQL travel in one, with all that does
    local name=$1 number=0 file script one changed main=$objects
    while IFS= read -r file && IFS= read -r script <&3; do
        changed=0 number=$((number + 1))
        case $file in
        *.lua | *.sql)
            for one in $assets; do
                mkdir -p "$folder/${one%/*}"
                [ -e "$folder/$one" ] || cp "$one" "$folder/$one"
            done
            for one in $file; do
                change "$one" "$script"
                cmp -s "$one" "$folder/$one" || changed=1
            done
            # shellcheck disable=SC2086
            (cd "$folder" && sh "$OLDPWD/tools/embed" $assets) >"$folder/assets.c"
            ;;
        *)
            change "$file" "$script"
            cmp -s "$file" "$folder/$file" || changed=1
            cp "$folder/$file" "$folder/$number.c"
            ;;
        esac
        [ "$changed" = 1 ] || { echo "the pattern is not in $file"; return 1; }
    done <"$work/$name.file" 3<"$work/$name.sed"
    for one in $(find "$folder" -maxdepth 1 -name '*.c'); do
        # shellcheck disable=SC2086
        $CC $FLAGS -w -c -o "${one%.c}.o" "$one" || return 1
    done
    case $test in '' | sim/real) ;; *) main=$build/tests/$test.o ;; esac
    # shellcheck disable=SC2086
    $CC $FLAGS -o "$folder/program" $(find "$folder" -maxdepth 1 -name '*.o') $main $archives -Wl,--as-needed $LIBS \
        -lcmocka
}

simulate() { # [OPTION…]
    local line
    # shellcheck disable=SC2086
    line=$(timeout "$most" "$folder/program" sim "$@" --seeds "1..$seeds" $options --summary --first 2>/dev/null |
        grep -m1 '^seed ')
    echo "${line:-survived}"
}

run_test() { # "test NAME: what failed in it"
    local failed
    case $test in
    contract/*) tools/stack run --fast --wipe "$folder/stack" -- timeout "$most" "$folder/program" ;;
    *) timeout "$most" "$folder/program" ;;
    esac >"$folder/said" 2>&1 && echo survived && return
    failed=$(sed -nE 's/^ *\[  FAILED  \] ([a-z_0-9]+)$/\1/p' "$folder/said" | sed -n 1p)
    [ -n "$failed" ] && echo "test ${test##*/}: $failed" && return
    grep -q Aborted "$folder/said" && echo "test ${test##*/}: aborts" && return
    echo "the test ends otherwise: $(tail -n 1 "$folder/said")"
}

try() {
    local name=$1 folder=$work/$1 line= began=$EPOCHREALTIME test options
    test=$(cat "$work/$1.test") options=
    case $test in
    --*) options=$test test= ;;
    'sim/real '*) options=${test#sim/real } test=sim/real ;;
    esac
    mkdir -p "$folder"
    if make_mutant "$name" >"$folder/log" 2>&1; then
        began=$EPOCHREALTIME
        case $test in
        '') line=$(simulate) ;;
        sim/real) line=$(simulate --store=real) ;;
        *) line=$(run_test) ;;
        esac
    else
        line="cannot be made: $(tail -n 1 "$folder/log")"
    fi
    printf '%s\n' "$(((${EPOCHREALTIME/./} - ${began/./}) / 100000))" >"$work/$name.took"
    rm -rf "$folder"
    printf '%s\n' "$line" >"$work/$name.result"
}
export -f try make_mutant change simulate run_test
export work seeds most build CC FLAGS LIBS objects archives assets

# These need hundreds of seeds and half a minute or more, so they are tried with DEEP=1 only.
deep=' undo_epoch return_epoch real_snapshot real_paid '
names=${*:-$(while read -r name; do
    [[ -z ${DEEP-} && $deep = *" $name "* ]] || echo "$name"
done <"$work/names")}
# Each test that is named, as it is: it must pass, or what fails in it says nothing.
controls=
for name in $names; do
    test=$(cat "$work/$name.test")
    [[ -z $test || $test = sim/real* || $test = --* || -e $work/${test//\//-}.test ]] && continue
    for part in file sed; do : >"$work/${test//\//-}.$part"; done
    printf '%s' "$test" >"$work/${test//\//-}.test"
    controls="$controls ${test//\//-}"
done
printf '%s\n' $controls $names | xargs -P 2 -I{} bash -c 'try {}'

passed=0 failed=0
for name in $controls; do
    [ "$(cat "$work/$name.result")" = survived ] && continue
    failed=$((failed + 1))
    echo "$name fails as it is: $(cat "$work/$name.result")"
done
printf '%-15s %-4s %7s  %-28s  %s\n' mutant hole seconds 'caught by' 'what it lacks'
for name in $names; do
    read -r word seed rule _ <"$work/$name.result"
    if [ "$word" = seed ] || [ "$word" = test ]; then
        passed=$((passed + 1))
        took=$(cat "$work/$name.took")
        printf '%-15s %-4s %5d.%d  %-28s  %s\n' "$name" "$(cat "$work/$name.guard")" \
            $((took / 10)) $((took % 10)) "$word $seed $rule" "$(cat "$work/$name.what")"
    else
        failed=$((failed + 1))
        printf '%-15s NOT CAUGHT: %s (%s)\n' "$name" "$(cat "$work/$name.result")" "$(cat "$work/$name.what")"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
