#!/bin/bash
# Does the simulator notice a missing guard?  Each mutant is the system without one: a source file
# changed by sed, compiled apart and linked before the library that holds the right one.  A pattern
# that is not found fails; so does a mutant that lives through all its seeds.
#   tests/sim/test_mutants.sh [NAME…]
# BUILD: where make has put doorsim and its objects (build/gcc).  CC, FLAGS, LIBS: as it was built.
# SEEDS: how many to try (3000).
set -u
export LC_ALL=C
build=${BUILD:-build/gcc} seeds=${SEEDS:-3000}
CC=${CC:-gcc}
FLAGS=${FLAGS:--O1 -std=c11 -pthread -D_GNU_SOURCE -I.}
LIBS=${LIBS:-$(pkg-config --libs libzmq libczmq hiredis libpq msgpack libevent libevent_pthreads \
    jansson libsodium libcurl lua5.1) -lm -pthread}
work=$(mktemp -d "${TMPDIR:-/tmp}/mutants-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

# ------------------------------------------------------------------------------------ the mutants
# Three guards cannot be missed alone, because others stand before them: the dup rule (behind the
# seen check), `sold + quantity <= allocated` (Redis never offers before R2 what it may have lost)
# and the recovery that a fenced undo asks for (a return is fenced first).  And one is too rare for
# the time given, one seed in about 1,500 finds it: an epoch_use meant for the Redis before.
# mutant NAME FILE SED WHAT: the sed script sees the whole file as one line (-z).
mutant() {
    printf '%s\n' "$1" >>"$work/names"
    printf '%s' "$2" >"$work/$1.file"
    printf '%s' "$3" >"$work/$1.sed"
    printf '%s' "$4" >"$work/$1.what"
}

mutant early_answer actors/order/window.c \
    's/added = add\(self, in, now\) != NULL;/&\n struct order_view *early = ANSWER(out, in, order_view); early->order_id = place->order_id; early->state = order_state_awaiting_payment; early->rid = place->rid; early->user_id = place->user_id;/' \
    '201 before the commit'
mutant pg_epoch tests/sim/model_pg.c \
    's/if \(rid_epoch\(row->rid\) != self->epoch\) outcome = outcome_fenced;//' \
    'purchase_batch accepts any epoch'
mutant redis_epoch 'broker/redis/*.lua' 's/[^\n]*-- guard: epoch_check\n//g' \
    'scripts do not look at epoch and boot'
mutant seen broker/redis/reserve.lua 's/[^\n]*-- guard: seen_check\n//g' \
    'reserve does not look whether the order has units'
mutant undo_twice broker/redis/settle.lua \
    "s/[^\n]*-- guard: undo_once\n/if not from or held == '0' then lot.changed = true lot.available = lot.available + units lot.version = lot.version + 1 return '1' end\n/" \
    'an undo that comes again gives units again'
mutant refused_kept actors/order/decided.c \
    's/(case outcome_refused:[^}]*)if \(!undo_row\([^;]*return false;/\1/' \
    'a refused reservation is not undone'
mutant no_raise actors/inventory/recovery.c \
    's/(void inventory_on_drained\([^{]*\{.*\n) *raise_epoch\(self, now, out\);\n( *return;\n *\}\n *self->drain_left)/\1 self->install.epoch = self->epoch; inventory_open(self, now, out);\n\2/' \
    'recovery opens the journal it found without raising the epoch (H23)'
mutant settle_once actors/order/entries.c \
    's/(void order_send_settles\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'a lost settle is never repeated'
mutant undo_once_sent actors/order/undos.c \
    's/(void order_send_undos\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'a lost undo is never repeated'
mutant return_once actors/order/returns.c \
    's/(void order_send_returns\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'a return with an unknown commit is not repeated'
mutant journal_unread actors/order/journal.c \
    's/(void order_read_journal\([^)]*\) \{)/\1 if (now != 0) return;/' \
    'the journal is never read'
mutant no_recover actors/order/order.c \
    's/self->recovered = false;/self->recovered = true;/' \
    'the writer starts without asking for a recovery'
mutant void_early tests/sim/model_pg.c \
    's/rid_epoch\(want->rid\) < self->epoch \? order_state_void : order_state_pending/order_state_void/' \
    'an absent rid is void under its own epoch as well'
mutant refusal_lost tests/sim/model_pg.c \
    's/if \(outcome == outcome_refused \&\& rid_before != row->rid\) keep_refusal\([^;]*;//' \
    'refusals are not kept (H2)'
mutant row_numbers tests/sim/model_pg.c \
    's/row->row = \+\+to->rows;/to->rows++;/' \
    'rows of a recovery are counted, not numbered'
mutant return_epoch tests/sim/model_pg.c \
    's/if \(row->epoch != 0 \&\& row->epoch != epoch\) return false;//' \
    'a return asked for by a writer cut off is done after the recovery'
mutant holders actors/bridge/hint.c \
    's/if \(bloom_may_have\([^;]*return PROBLEM_none;//' \
    'the bridge refuses holders by the hint'
mutant generation actors/bridge/bridge.c \
    's/slots\[i\]\.generation = generation;/slots[i].generation = 0 * generation;/' \
    'a bridge numbers its requests from 0 after every start'
mutant install_once broker/redis/install_lot.lua 's/if (call\(.SADD[^)]*\)) == 0 then[^\n]*/\1/' \
    'a lot installed twice loses its holders'
mutant install_order broker/redis/install_holders.lua 's/[^\n]*-- guard: install_order\n//g' \
    'holders may come before their lot'
mutant unverified actors/inventory/recovery.c \
    's/verify\(self, out\);\n *break;/break;/' \
    'an open shard never asks Redis who it is'
mutant unlooked actors/inventory/lots.c \
    's/look_again\(lot, out\);/(void)look_again;/' \
    'a sold-out level is believed for ever'
mutant late_kept actors/payment/late.c \
    's/default: return true;/default: return false;/' \
    'late money that gets no unit does not go back'

# ------------------------------------------------------------------------------------------ trying

objects=$(echo "$build"/tools/doorsim/*.o)
archives="-Wl,--start-group $build/libtests.a $build/libdoorbuster.a -Wl,--end-group"

change() { # FILE SED: a changed copy under $1's name in the mutant's folder
    mkdir -p "$folder/${1%/*}"
    sed -zE "$2" "$1" >"$folder/$1"
}

make_mutant() {
    local file=$1 script=$2 changed=0 one
    case $file in
    *.lua)
        for one in broker/redis/*.lua; do
            mkdir -p "$folder/broker/redis"
            cp "$one" "$folder/$one"
        done
        for one in $file; do
            change "$one" "$script"
            cmp -s "$one" "$folder/$one" || changed=1
        done
        (cd "$folder" && sh "$OLDPWD/tools/embed" broker/redis/*.lua) >"$folder/mutant.c"
        ;;
    *)
        change "$file" "$script"
        cmp -s "$file" "$folder/$file" || changed=1
        cp "$folder/$file" "$folder/mutant.c"
        ;;
    esac
    [ "$changed" = 1 ] || { echo "the pattern is not in $file"; return 1; }
    # shellcheck disable=SC2086
    $CC $FLAGS -w -c -o "$folder/mutant.o" "$folder/mutant.c" &&
        $CC $FLAGS -o "$folder/doorsim" "$folder/mutant.o" $objects $archives -Wl,--as-needed $LIBS
}

try() {
    local name=$1 folder=$work/$1 line=
    mkdir -p "$folder"
    if make_mutant "$(cat "$work/$name.file")" "$(cat "$work/$name.sed")" >"$folder/log" 2>&1; then
        line=$("$folder/doorsim" sim --seeds "1..$seeds" --summary --first 2>/dev/null |
            grep -m1 '^seed ')
        line=${line:-survived}
    else
        line="cannot be made: $(tail -n 1 "$folder/log")"
    fi
    rm -rf "$folder"
    printf '%s\n' "$line" >"$work/$name.result"
}
export -f try make_mutant change
export work seeds CC FLAGS LIBS objects archives

names=${*:-$(cat "$work/names")}
printf '%s\n' $names | xargs -P 2 -I{} bash -c 'try {}'

passed=0 failed=0
printf '%-15s %-10s %6s  %s\n' mutant 'caught by' seed 'what it lacks'
for name in $names; do
    read -r word seed rule _ <"$work/$name.result"
    if [ "$word" = seed ]; then
        passed=$((passed + 1))
        printf '%-15s %-10s %6s  %s\n' "$name" "$rule" "$seed" "$(cat "$work/$name.what")"
    else
        failed=$((failed + 1))
        printf '%-15s NOT CAUGHT: %s (%s)\n' "$name" "$(cat "$work/$name.result")" "$(cat "$work/$name.what")"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
