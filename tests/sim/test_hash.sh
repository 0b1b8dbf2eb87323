#!/bin/bash
# The same seed is the same run, to the byte, whatever compiled it: the hash of the trace of some seeds is
# the same with gcc and clang.  The compiler this build was not made with makes one of its own, apart,
# without optimisation: that would show what is not defined, too.
set -u
export LC_ALL=C
build=${BUILD:-build/gcc} seeds=${SEEDS:-"1 5 12 701"}
case ${CC:-gcc} in *clang*) other=gcc ;; *) other=clang ;; esac
work=$(mktemp -d "${TMPDIR:-/tmp}/hash-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
libs=${LIBS:-$(pkg-config --libs libzmq libczmq hiredis libpq msgpack libevent libevent_pthreads \
    jansson libsodium libcurl lua5.1) -lm -pthread}
command -v "$other" >/dev/null || { echo "there is no $other"; exit 1; }

# Everything that can decide anything: actors, schema, the broker's batches and scripts, the simulator.
compile() {
    local name=${1//\//_}
    # shellcheck disable=SC2086
    "$other" $flags -O0 -w -c -o "$work/${name%.c}.o" "$1"
}
export -f compile
FLAGS=${FLAGS:--std=c11 -pthread -D_GNU_SOURCE -I. $(pkg-config --cflags lua5.1 hiredis libpq libsodium)}
flags=$(printf '%s\n' $FLAGS | grep -v -e '^-fsanitize' -e '^-fno-sanitize' -e '^--coverage' \
    -e '^-D_FORTIFY' | tr '\n' ' ')
export other work flags
printf '%s\n' schema/*.c actors/*.c actors/*/*.c broker/batch.c broker/parcel.c broker/clock.c \
    broker/redis/script*.c tests/sim/*.c | xargs -P 2 -I{} bash -c 'compile {}' || exit 1
# shellcheck disable=SC2086
${CC:-gcc} $FLAGS -o "$work/doorsim" "$work"/*.o "$build"/tools/doorsim/*.o -Wl,--start-group \
    "$build/libtests.a" "$build/libdoorbuster.a" -Wl,--end-group -Wl,--as-needed $libs || exit 1

passed=0 failed=0
for seed in $seeds; do
    mine=$("$build/doorsim" sim --seed "$seed" --hash 2>/dev/null)
    theirs=$("$work/doorsim" sim --seed "$seed" --hash 2>/dev/null)
    again=$("$build/doorsim" sim --seed "$seed" --hash 2>/dev/null)
    if [ -n "$mine" ] && [ "$mine" = "$theirs" ] && [ "$mine" = "$again" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf '%s\n' "seed $seed: not the same" "  $mine" "  $again (again)" "  $theirs ($other)"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
