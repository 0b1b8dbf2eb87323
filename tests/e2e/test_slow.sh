#!/bin/bash
# Clients that are in no hurry: headers, bodies and reading byte by byte (slowhttptest), many that say
# nothing at all, and few descriptors.  The server lives, stays small, ends every connection, and sells
# to others meanwhile.  SLOW_FULL=1 (make slow): thousands of each kind and 20,000 connections.
many=800 crowd=800 rate=400 seconds=3 deadline=2
if [ -n "${SLOW_FULL-}" ]; then
    many=3000 crowd=10000 rate=1000 seconds=25 deadline=15
    # More than 3,000 one slowhttptest does not get to in the time: it looks at all of them each round.
    # 20,000 connections of shoppers, and the quarter (at most 2,048) that is not theirs.
    if [ "$(ulimit -Hn)" -lt 24000 ] && ! ulimit -n 24000 2>/dev/null; then
        crowd=$((($(ulimit -Hn) - 2048) / 2 - 50))
        [ -z "${E2E_INSIDE-}" ] || echo "$(ulimit -Hn) descriptors are allowed here, 24000 needed: $crowd of each kind instead of 10000 at once"
    fi
fi
e2e_sets=("http.deadline=${deadline}s" http.connections_max=21000 http.rate_user=0)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

metric() { curl -s -m 5 "$BASE/metrics" | awk -v name="doorbuster_$1" '$1 == name { print $2 }'; }
peak_reset() { echo 5 >"/proc/$server/clear_refs"; }
peak_kb() { awk '/^VmHWM/ { print $2 }' "/proc/$server/status"; }
wait_calm() { # All connections but the one that asks are gone.
    none() { [ "$(metric http_connections)" -le 1 ]; }
    until_true $((deadline + 5)) none
}
seed 1000
make_sale 900 1
buyer=0 slowest=0
# One customer after another, in the time that is given, and three at least: ticket and purchase.  His time has some
# starts of curl and jq in it, which a busy machine takes a while for.
customers() { # SECONDS: sets $served, $unserved, $slowest
    local end=$((SECONDS + $1)) began took
    served=0 unserved=0 slowest=0
    while [ "$SECONDS" -lt "$end" ] || [ $((served + unserved)) -lt 3 ]; do
        buyer=$((buyer + 1))
        shopper "$buyer"
        began=$(now_ms)
        if get_ticket "$lot" && buy && [ "$status" = 201 ]; then
            served=$((served + 1))
        else
            unserved=$((unserved + 1))
            echo "customer $buyer: $status $body"
        fi
        took=$(($(now_ms) - began))
        [ "$took" -le "$slowest" ] || slowest=$took
        sleep 0.05
    done
}

# slowhttptest ends when all its connections are closed, or after its time.
attack() { # NAME KILOBYTES-EACH SECONDS HOW-IT-ENDS [OPTION…]
    local name=$1 each=$2 time=$3 ends=$4 attacker before peak
    shift 4
    section "$name: $many connections"
    wait_calm
    peak_reset
    before=$(resident_kb)
    slowhttptest -c "$many" -r "$rate" -i 1 -l "$time" -p 3 "$@" >"$DIR/attack" 2>&1 </dev/null &
    attacker=$!
    mine+=("$attacker")
    sleep 0.5
    customers "$seconds"
    peak=$(peak_kb)
    echo "$served customers, $slowest ms at most; memory $before kB, $peak kB at its peak"
    check_true "all others are served meanwhile: $served, not $unserved" test "$served" -ge 3 -a "$unserved" = 0
    check_true "in $slowest ms at most" test "$slowest" -le 5000
    check_true "memory: $before kB, $peak kB with $many of them" test "$peak" -le $((before + 6144 + each * many))
    check_true "the attack ends by itself" until_true $((time + 5)) gone "$attacker"
    check_true "because $ends" grep -aq "Exit status:.*$ends" "$DIR/attack"
}

# A head or a body that does not come takes its first buffer (2 kB) and the connection's own state.
cut=$(metric http_cut_off_total)
attack "slow headers" 4 $((many / rate + deadline + seconds + 8)) "No open connections left" -H -x 10 -u "$BASE/v1/sales"
cut=$(($(metric http_cut_off_total) - cut))
check_true "each was told that it was too slow: $cut" test "$cut" -ge "$many"
cut=$(metric http_cut_off_total)
attack "slow bodies" 4 $((many / rate + deadline + seconds + 8)) "No open connections left" \
    -B -s 8192 -x 10 -f application/json -u "$BASE/v1/accounts"
cut=$(($(metric http_cut_off_total) - cut))
check_true "each was told that it was too slow: $cut" test "$cut" -ge "$many"
# Each asks for three pages and reads some bytes a second.  What the kernel does not take for a client
# waits in the process, and is at most one answer.
pages() { metric 'http_requests_total{status="2xx"}'; }
before_pages=$(pages)
attack "slow reading" 4 $((many / rate + seconds + 1)) "Hit test time limit" -X -k 3 -w 1 -y 16 -n 2 -z 4 -u "$BASE/v1/sales"
# On a busy machine some come too late to be heard with all three.
check_true "each was answered" test $(($(pages) - before_pages)) -ge $((2 * many))

section "$crowd that say nothing, and $crowd that ask now and then"
wait_calm
peak_reset
before=$(resident_kb)
python3 tests/e2e/lib/slow_crowd.py 127.0.0.1 "${BASE##*:}" "$crowd" "$crowd" "$((crowd / 1000 + seconds))" >"$DIR/crowd" 2>&1 &
crowding=$!
mine+=("$crowding")
full() { [ "$(metric http_connections)" -ge $((2 * crowd)) ]; }
check_true "all of them are there" until_true 90 full
customers "$seconds"
peak=$(peak_kb)
echo "$served customers, $slowest ms at most; memory $before kB, $peak kB at its peak"
check_true "all others are served meanwhile: $served, not $unserved" test "$served" -ge 3 -a "$unserved" = 0
check_true "in $slowest ms at most" test "$slowest" -le 5000
check_true "memory: $before kB, $peak kB with $((2 * crowd)) of them" test "$peak" -le $((before + 6144 + 4 * 2 * crowd))
check_true "the crowd ends" until_true 100 gone "$crowding"
cat "$DIR/crowd"
read -r _ io ic _ ao ac _ asked _ answered _ refused _ strange _ late <"$DIR/crowd"
check "who says nothing is left alone" "$crowd 0" "$io $ic"
check "who asks is not closed" "$crowd 0" "$ao $ac"
check "everything asked is answered" "$asked 0 0" "$answered $refused $strange"
check_true "soon: $late ms" test "$late" -le 3000
check_true "the process is the same" kill -0 "$server"

section "128 descriptors"
server_stop
words=()
for setting in $E2E_SETS; do words+=(--set "$setting"); done
prlimit --nofile=128:128 "$BUILD/doorbuster" serve --config "$CONFIG" "${words[@]}" \
    >>"$DIR/doorbuster.log" 2>&1 </dev/null &
server=$!
disown "$server"
mine+=("$server")
check_true "it starts" until_true 20 ready
check "and has no more" 128 "$(awk '/^Max open files/ { print $4 }' "/proc/$server/limits")"
slowhttptest -c 400 -r 400 -i 1 -l $((deadline + 8)) -p 3 -H -x 10 -u "$BASE/v1/sales" >"$DIR/attack" 2>&1 </dev/null &
attacker=$!
mine+=("$attacker")
sleep 0.7
operator() { ctl sale list >/dev/null; }
check_true "an operator gets in" operator
refused=0
patient() { # A customer whose connection was closed comes again.
    get_ticket "$lot" && buy && [ "$status" = 201 ] && return 0
    refused=$((refused + 1))
    return 1
}
buyer=$((buyer + 1))
shopper "$buyer"
check_true "a customer gets through in the end" until_true $((deadline + 4)) patient
check_true "those beyond were closed at once: $(metric http_connections_refused_total)" \
    test "$(metric http_connections_refused_total)" -ge 200
check_true "the attack ends by itself" until_true $((deadline + 20)) gone "$attacker"
customers 2
check_true "afterwards all are served: $served, not $unserved" test "$served" -ge 3 -a "$unserved" = 0
check_true "the process is the same" kill -0 "$server"
check_true "nothing crashed" test "$(grep -c 'msg="actor crashed"\|msg="dead letter"\|Assert' "$DIR/doorbuster.log")" = 0
check "the stores were never lost" 0 \
    "$(awk '/actor=serve msg=open/ { n = 0 } /msg=disconnected|connection lost|could not connect/ { n++ } END { print n + 0 }' "$DIR/doorbuster.log")"
check_true "the account is exact" reconciled
