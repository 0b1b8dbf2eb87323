#!/bin/bash
# `tools/run --nodes` at a terminal: the broker is killed and started again while the nodes go on, as
# often as is allowed; one that somebody has started himself is left alone; one that cannot start ends
# it all.  Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C BUILD=${BUILD:-build/gcc}
mkdir -p var && dir=$(mktemp -d var/run-test-XXXXXX) && chmod 755 "$dir" || exit 1
[ -z "${STACK-}" ] || ln -s "$STACK" "$dir/stack"
passed=0 failed=0

check() { # WHAT EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL: $1: expected \"$2\", got \"$3\""
    fi
}
until_true() { # SECONDS COMMAND…
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}
alive() { kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.Z' "/proc/$1/status"; }
pid_of() { cat "$dir/$1.pid"; } # NODE
said() { [ "$(grep -c 'the broker has ended' "$dir/said")" = "$1" ]; } # TIMES
answers() { "$BUILD/doorctl" --socket "$dir/door.sock" --timeout 2 reconcile; }

for port in $(shuf -i 20000-31000 -n 50); do # With twenty behind it that nobody has.
    ss -Hltn "sport >= :$port and sport <= :$((port + 20))" | grep -q . || break
done
PORT=$port tools/run --dir "$dir" --no-sale --nodes "edge=edge core=shard shop=shop" >"$dir/said" 2>&1 &
run=$!
finish() {
    trap '' INT TERM HUP
    kill -s TERM "$run" 2>/dev/null
    wait "$run" 2>/dev/null
    rm -f "$dir/stack" # What tools/stack gave us is its own to wipe.
    [ "$failed" != 0 ] || rm -rf "$dir"
    [ "$failed" = 0 ] || cat "$dir/said"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}
trap finish EXIT
trap 'exit 1' INT TERM HUP

up() { grep -q 'Ctrl-C stops everything' "$dir/said"; }
check "it runs" yes "$(until_true 60 up && echo yes)"
check "operators are served as soon as it says so" yes "$(answers >/dev/null && echo yes)"
first=$(pid_of broker) nodes="$(pid_of edge) $(pid_of core) $(pid_of shop)"

kill -s KILL "$first"
check "the broker is started again" yes "$(until_true 20 said 1 && echo yes)"
check "operators are served" yes "$(until_true 20 answers && echo yes)"
check "by another one" yes "$([ "$(pid_of broker)" != "$first" ] && echo yes)"
check "the nodes have gone on" "$nodes" "$(pid_of edge) $(pid_of core) $(pid_of shop)"
for pid in $nodes; do check "each of them" yes "$(alive "$pid" && echo yes)"; done

mapfile -t words <"$dir/broker.args"
kill -s KILL "$(pid_of broker)"
"$BUILD/doorbuster" "${words[@]}" >>"$dir/broker.log" 2>&1 </dev/null &
own=$!
disown "$own"
echo "$own" >"$dir/broker.pid"
check "operators are served by the one started by hand" yes "$(until_true 20 answers && echo yes)"
check "which nobody else has started" yes "$(said 1 && [ "$(pid_of broker)" = "$own" ] && echo yes)"

echo --no-such-option >>"$dir/broker.args"
kill -s KILL "$own"
check "one that cannot start ends it all" yes "$(until_true 30 grep -q 'a part has ended by itself' "$dir/said" && echo yes)"
check "after five times in all" yes "$(said 5 && echo yes)"
ended() { ! alive "$run"; }
check "with all nodes" yes "$(until_true 30 ended && for pid in $nodes; do ! alive "$pid" || echo no; done && echo yes)"
wait "$run"
check "and says that it failed" 1 "$?"
