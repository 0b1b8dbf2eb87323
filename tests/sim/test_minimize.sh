#!/bin/bash
# --minimize on a run that fails: a writer that does not undo what was refused.  What it prints is a
# command; that fails by the same rule, with fewer shoppers.
set -u
export LC_ALL=C
build=${BUILD:-build/gcc}
FLAGS=${FLAGS:--O1 -std=c11 -pthread -D_GNU_SOURCE -I.}
LIBS=${LIBS:-$(pkg-config --libs libzmq libczmq hiredis libpq msgpack libevent libevent_pthreads \
    jansson libsodium libcurl lua5.1) -lm -pthread}
work=$(mktemp -d "${TMPDIR:-/tmp}/minimize-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
sed -zE 's/(case outcome_refused:[^}]*)if \(!undo_row\([^;]*return false;/\1/' actors/order/decided.c \
    >"$work/decided.c"
cmp -s actors/order/decided.c "$work/decided.c" && { echo "the pattern is not there"; exit 1; }
# shellcheck disable=SC2086
${CC:-gcc} $FLAGS -w -c -o "$work/decided.o" "$work/decided.c" &&
    ${CC:-gcc} $FLAGS -o "$work/doorsim" "$work/decided.o" "$build"/tools/doorsim/*.o -Wl,--start-group \
        "$build/libtests.a" "$build/libdoorbuster.a" -Wl,--end-group -Wl,--as-needed $LIBS || exit 1
first=$("$work/doorsim" sim --seeds 1..200 --first --summary 2>/dev/null | grep -m1 '^seed ')
read -r _ seed rule _ <<<"$first"
told=$(timeout 200 "$work/doorsim" sim --seed "$seed" --minimize 2>/dev/null)
shoppers=$(sed -n "s/^the smallest run found that breaks $rule: \([0-9]*\) shoppers.*/\1/p" <<<"$told")
again=$(sed -n 's/^ *again: doorsim \(.*\) --trace$/\1/p' <<<"$told")
# shellcheck disable=SC2086
smaller=$("$work/doorsim" $again --summary 2>/dev/null)
passed=0
[ -n "$shoppers" ] && [ "$shoppers" -lt 4 ] && passed=$((passed + 1)) # Of 4 to 31.
[[ -n $again && $smaller = "seed "*" $rule "* ]] && passed=$((passed + 1))
[ "$passed" = 2 ] || printf '%s\n' "$first" "$told" "$smaller"
echo "$passed passed, $((2 - passed)) failed"
[ "$passed" = 2 ]
