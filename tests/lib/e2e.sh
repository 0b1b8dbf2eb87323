# shellcheck disable=SC2034 # Tests use what is set here.
# What the end-to-end tests share; a test begins with `. tests/lib/e2e.sh`.
#
# Sourcing it starts the whole system (tools/run, in a folder of its own, on free ports) and runs
# the test again in the middle of it, with tools/run's environment: BASE, DIR, DOOR, CONFIG,
# PAYSIM_URL, PGHOST …, REDIS_SOCKET, STACK.  Before that a test may set
#   e2e_sets=(KEY=VALUE …)   settings of the server
#   e2e_nodes="NAME=ACTORS[:SHARDS] …"   a broker and these processes instead of one server; with
#   e2e_tcp=1                connected by tcp with CURVE instead of ipc
#   e2e_hosts="NAME=ADDRESS@NAMESPACE …"   each in its network namespace
#   e2e_before()             run first, outside; what it exports reaches the server and the test
# Everything is stopped when the test ends, however it ends.  The folder is kept when it failed.
# BUILD (build/gcc) names the programs; TMPDIR where the folder is made (var/).
# A STACK in the environment (tools/stack run) is used instead of another one.
set -u
export LC_ALL=C
export BUILD=${BUILD:-build/gcc}
e2e_test=$0

# ------------------------------------------------------------------------------ outside: start, stop

# Two ports ten apart that nobody listens on: the server's and the pretend provider's.
e2e_free_port() {
    local port
    for port in $(shuf -i 20000-31000 -n 50); do
        ss -Hltn "sport = :$port or sport = :$((port + 10))" | grep -q . || { echo "$port" && return; }
    done
    return 1
}

e2e_outside() {
    ulimit -n "$(ulimit -Hn)" # Crowds need a connection for each shopper.
    local parent=${TMPDIR:-var} stack=${STACK-} status child setting words=()
    if [ -z "${TMPDIR-}" ] && ! { mkdir -p var && [ -w var ]; } 2>/dev/null; then parent=/tmp; fi
    e2e_dir=$(mktemp -d "$parent/e2e-XXXXXX") && chmod 755 "$e2e_dir" || exit 1
    [ -z "$stack" ] || ln -s "$stack" "$e2e_dir/stack"
    e2e_children=()
    ! declare -F e2e_before >/dev/null || e2e_before
    for setting in ${e2e_sets[@]+"${e2e_sets[@]}"}; do words+=(--set "$setting"); done
    export E2E_INSIDE=1 E2E_SETS="${e2e_sets[*]-}"
    [ -z "${e2e_nodes-}" ] || words+=(--nodes "$e2e_nodes")
    [ -z "${e2e_tcp-}" ] || words+=(--tcp)
    [ -z "${e2e_hosts-}" ] || words+=(--hosts "$e2e_hosts")
    PORT=$(e2e_free_port) tools/run --dir "$e2e_dir" --no-sale ${words[@]+"${words[@]}"} -- \
        bash "$e2e_test" &
    child=$!
    trap 'kill -s TERM "$child" 2>/dev/null' INT TERM HUP
    wait "$child"
    status=$?
    while kill -0 "$child" 2>/dev/null; do # A signal ends wait early, not the child.
        wait "$child"
        status=$?
    done
    for child in ${e2e_children[@]+"${e2e_children[@]}"}; do kill "$child" 2>/dev/null; done
    if [ -n "$stack" ]; then
        rm -f "$e2e_dir/stack"
    else
        tools/stack wipe "$e2e_dir/stack"
    fi
    if [ "$status" = 0 ]; then
        rm -rf "$e2e_dir"
    else
        echo "logs and histories are in $e2e_dir"
    fi
    exit "$status"
}
[ -n "${E2E_INSIDE-}" ] || e2e_outside

# -------------------------------------------------------------------------------------------- checks

passed=0 failed=0
server=$(pgrep -P "$PPID" -x doorbuster)
[ ! -s "$DIR/broker.pid" ] || server=$(cat "$DIR/broker.pid")
paysim_secret=$(cat "$DIR/paysim.secret")
mine=()

e2e_end() {
    trap '' INT TERM HUP
    trap - EXIT
    local pid
    for pid in ${mine[@]+"${mine[@]}"}; do kill -s TERM "$pid" 2>/dev/null; done
    for pid in ${mine[@]+"${mine[@]}"}; do
        until_true 12 gone "$pid" || kill -s KILL "$pid" 2>/dev/null
    done
    [ "$1" = 0 ] && [ "$failed" = 0 ] || {
        echo "--- the server's last words"
        for log in "$DIR"/*.log; do grep -H ' level=\(warn\|error\) ' "$log" | tail -n 12; done
    }
    echo "$passed passed, $((failed + ($1 != 0)))" failed
    # A plain `exit` would give the status from before the trap.
    if [ "$1" = 0 ] && [ "$failed" = 0 ] && [ "$passed" -gt 0 ]; then exit 0; fi
    exit 1
}
trap 'e2e_end 0' EXIT
trap 'e2e_end 1' INT TERM HUP

check() { # WHAT EXPECTED ACTUAL
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        [ -z "${VERBOSE-}" ] || echo "ok: $1"
    else
        failed=$((failed + 1))
        echo "FAIL: $1: expected \"$2\", got \"$3\""
    fi
}
check_true() { # WHAT COMMAND…
    local what=$1
    shift
    if "$@"; then
        check "$what" yes yes
    else
        check "$what" yes "no: $*"
    fi
}
section() { echo "--- $* ($((SECONDS - e2e_began)) s)"; }
e2e_began=$SECONDS
die() {
    echo "$*"
    e2e_end 1
}

# Repeats COMMAND until it succeeds or SECONDS have passed.
until_true() { # SECONDS COMMAND…
    local end=$((${EPOCHREALTIME/./} + ${1/./} * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
        sleep 0.03
    done
}
gone() { ! kill -0 "$1" 2>/dev/null || grep -qs '^State:.Z' "/proc/$1/status"; }
now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# ---------------------------------------------------------------------------------------- the server

ready() { [ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "$BASE/readyz")" = 200 ]; }

# The same command again, as an operator or an init system would; waits until it says it is ready.
server_start() { # [KEY=VALUE…]
    local words=() setting
    for setting in $E2E_SETS "$@"; do words+=(--set "$setting"); done
    "$BUILD/doorbuster" serve --config "$CONFIG" ${words[@]+"${words[@]}"} \
        >>"$DIR/doorbuster.log" 2>&1 </dev/null &
    server=$!
    disown "$server" # So that the shell does not report how it ended.
    mine+=("$server")
    until_true 20 ready
}
server_kill() { # kill -9
    kill -s KILL "$server" && until_true 5 gone "$server"
}
server_stop() {
    kill -s TERM "$server" && until_true 12 gone "$server"
}
server_restart() { server_stop && server_start "$@"; } # [KEY=VALUE…]
resident_kb() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

# ------------------------------------------------------------------------- one process of several

node_kill() { # NAME: kill -9
    kill -s KILL "$(cat "$DIR/$1.pid")" && until_true 5 gone "$(cat "$DIR/$1.pid")"
}
node_stop() { # NAME
    kill -s TERM "$(cat "$DIR/$1.pid")" && until_true 12 gone "$(cat "$DIR/$1.pid")"
}
# Again with its own command, by this program or by another one.
node_start() { # NAME [PROGRAM]
    local words enter=()
    mapfile -t words <"$DIR/$1.args"
    [ ! -s "$DIR/$1.enter" ] || mapfile -t enter <"$DIR/$1.enter"
    ${enter[@]+"${enter[@]}"} "${2:-$BUILD/doorbuster}" "${words[@]}" >>"$DIR/$1.log" 2>&1 </dev/null &
    disown $!
    mine+=($!)
    echo $! >"$DIR/$1.pid"
}
# Address and port of what it serves by HTTP.
node_http() { sed -n 's/^\(http\|admin\)\.listen=//p' "$DIR/$1.args" | tail -n 1; } # NAME
node_ready() { curl -s -m 2 -o /dev/null -f "http://$(node_http "$1")/readyz"; } # NAME
# A figure of a process, 0 when it has none: the sum over its labels.
node_figure() { # NAME FIGURE
    curl -s -m 2 "http://$(node_http "$1")/metrics" |
        awk -v n="doorbuster_$2" '{ split($1, a, "{") } a[1] == n { sum += $NF } END { printf "%d", sum }'
}

# ---------------------------------------------------------------------------------------- the stores

sql() { psql -XqAt -v ON_ERROR_STOP=1 -c "$1"; }
redis() { redis-cli -s "$REDIS_SOCKET" "$@"; }

# Somebody holds a table, so that nothing is committed until lock_release.
lock_hold() { # TABLE
    coproc LOCK { exec psql -XqAt 2>/dev/null; }
    lock_pid=$LOCK_PID
    lock_in=${LOCK[1]}
    echo "BEGIN; LOCK TABLE $1 IN EXCLUSIVE MODE; SELECT 'held';" >&"$lock_in"
    local word
    read -r -t 10 word <&"${LOCK[0]}" && [ "$word" = held ]
}
lock_release() { # Harmless when the database has gone meanwhile.
    kill -0 "$lock_pid" 2>/dev/null || return 0
    { echo 'ROLLBACK;' >&"$lock_in"; } 2>/dev/null
    eval "exec $lock_in>&-"
    until_true 5 gone "$lock_pid"
}

# Rids in the journal, one a line, as PostgreSQL keeps them (shard 0).
journal_rids() {
    redis --raw eval "local t = {} for _, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
        t[#t + 1] = e[1] .. '-' .. e[2][2] end return t" 1 '{s0}:j' |
        awk -F- 'NF == 3 { for (i = 0; i < $3; i++) printf "%.0f\n", $1 * 2 ^ 36 + $2 + i }'
}
# How many of the rids on standard input PostgreSQL has decided: "<orders> <refusals> <open>".
decided_of() {
    local list
    list=$(paste -sd,)
    sql "WITH r AS (SELECT unnest('{$list}'::bigint[]) rid)
         SELECT count(*) FILTER (WHERE o.rid IS NOT NULL) || ' ' ||
                count(*) FILTER (WHERE f.rid IS NOT NULL) || ' ' ||
                count(*) FILTER (WHERE o.rid IS NULL AND f.rid IS NULL)
         FROM r LEFT JOIN orders o USING (rid) LEFT JOIN refusal f USING (rid)"
}

# -------------------------------------------------------------------------------- operators, clients

ctl() { "$BUILD/doorctl" --socket "$DOOR" --json "$@"; }

# Sets $sale, $lot, $sku: a sale with one lot, open now.
make_sale() { # UNITS [PER-BUYER-LIMIT [PAY-WINDOW [OPENS]]]
    draft_sale "$@" && if [ -n "${4-}" ]; then
        ctl sale schedule "$sale" >/dev/null
    else
        ctl sale open "$sale" >/dev/null
    fi
}
draft_sale() {
    local product
    sale=$(ctl sale create "Sale of $1" "${4:-now}" +1d --pay-window "${3:-15m}" | jq -er .sale_id) &&
        product=$(ctl product add "Lantern" | jq -er .product_id) &&
        sku=$(ctl sku add "$product" "red" | jq -er .sku_id) &&
        ctl stock receive "$sku" "$(($1 + 1000))" >/dev/null &&
        lot=$(ctl sale add-lot "$sale" "$sku" "$1" 1999CNY --per-buyer-limit "${2:-1}" | jq -er .lot_id)
}
on_hand() { ctl stock show "$1" | jq -r .on_hand; }
# The account is exact within some seconds: undos and settles may be on their way.
reconciled() { until_true "${1:-3}" ctl reconcile; }

# One request: sets $status, $body; the headers are in $DIR/headers.
api() { # METHOD PATH [TOKEN [BODY [CURL OPTION…]]]
    local words=(-s -m 10 -X "$1" -o "$DIR/body" -D "$DIR/headers" -w '%{http_code}')
    [ -z "${3-}" ] || words+=(-H "Authorization: Bearer $3")
    [ -z "${4-}" ] || words+=(-H 'Content-Type: application/json' --data-binary "$4")
    : >"$DIR/body"
    : >"$DIR/headers"
    status=$(curl "${words[@]}" "${@:5}" "$BASE$2")
    body=$(cat "$DIR/body")
}
of() { jq -r "$1" <<<"$body"; }
header() { tr -d '\r' <"$DIR/headers" | sed -n "s/^$1: *//Ip" | tail -n 1; }
problem() { echo "$status $(of .code)"; }

register() { # LOGIN: sets $user, $token, $refresh
    api POST /v1/accounts '' "{\"login\":\"$1\",\"password\":\"correct horse\"}" && [ "$status" = 201 ] || return 1
    log_in "$1"
}
log_in() { # LOGIN
    api POST /v1/sessions '' "{\"login\":\"$1\",\"password\":\"correct horse\"}"
    token=$(of .access_token) refresh=$(of .refresh_token) user=$(of .user_id)
    [ "$status" = 201 ]
}
get_ticket() { # LOT [TOKEN]: sets $ticket, $order when there is one
    api POST "/v1/lots/$1/tickets" "${2-$token}" '{}'
    [ "$status" = 201 ] || return 1
    ticket=$(of .ticket) order=$(of .order_id)
}
address='{"name":"A. Buyer","phone":"+49 30 123456","line":"Long Street 1","city":"Berlin","country":"DE"}'
buy() { # [TICKET [TOKEN [QUANTITY]]]
    api POST /v1/orders "${2-$token}" \
        "{\"ticket\":\"${1-$ticket}\",\"quantity\":${3:-1},\"address\":$address}"
    replayed=$(header Idempotent-Replayed)
}
# Buys, and asks again when told to come back (503) or to wait (202).
insist() { # as buy
    local _
    for _ in $(seq 40); do
        buy "$@"
        case $status in 202 | 503 | 000) sleep 0.2 ;; *) break ;; esac
    done
}
order_state() { # [ORDER [TOKEN]]
    api GET "/v1/orders/${1-$order}" "${2-$token}"
    of .state
}
order_is() { [ "$(order_state "$2" "${3-$token}")" = "$1" ]; } # STATE ORDER [TOKEN]
open_payment() { # [ORDER [TOKEN]]: sets $payment, $pay_url
    api POST "/v1/orders/${1-$order}/payments" "${2-$token}" '{"provider":"sandbox"}'
    payment=$(of .payment_id) pay_url=$(of .pay_url)
    [ "$status" = 201 ]
}
pay_at_provider() { # [PAY-URL]
    [ "$(curl -s -m 10 -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' \
        -d '{"result":"success"}' "${1-$pay_url}")" = 200 ]
}
paysim_set() { curl -s -m 5 -o /dev/null -d "$1" "$PAYSIM_URL/control"; }
ledger() { curl -s -m 5 "$PAYSIM_URL/ledger"; }
# Sends a callback as the provider would.
callback() { # BODY [SECRET [SECONDS]]: sets $status, $body
    local at=${3:-$(date +%s)} mac
    mac=$(printf '%s.%s' "$at" "$1" | openssl dgst -sha256 -hmac "${2:-$paysim_secret}" -r | cut -d' ' -f1)
    api POST /v1/payments/callbacks/sandbox '' "$1" -H "X-Paysim-Signature: t=$at,v1=$mac"
}

# ------------------------------------------------------------------------------------- crowds, judge

seed() { # COUNT: shoppers in $DIR/shoppers
    "$BUILD/doorsim" seed --dsn "" --keys "$DIR/keys" --count "$1" --out "$DIR/shoppers" >"$DIR/seed.log" 2>&1 ||
        die "could not seed: $(cat "$DIR/seed.log")"
}
# The N-th of them: sets $user, $token.
shopper() { read -r user _ token < <(sed -n "$1p" "$DIR/shoppers"); }
# A crowd that asks until it has an answer; who is told "sold out" keeps asking for a while.
crowd() { # HISTORY LOT… -- [doorsim demo's options…]
    local history=$1 lots=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do lots+=(--lot "$1") && shift; done
    [ $# = 0 ] || shift
    "$BUILD/doorsim" demo --base "$BASE" --shoppers "$DIR/shoppers" --history "$DIR/$history" \
        "${lots[@]}" --no-judge --quiet "$@" >"$DIR/$history.crowd" 2>&1
}
# Compares what clients were told with the tables; shows both when they differ.
judge() { # HISTORY LOTS(comma separated) [doorsim judge's options…]
    "$BUILD/doorsim" judge --dsn "" --history "$DIR/$1" --lots "$2" "${@:3}" >"$DIR/$1.verdict" 2>&1 ||
        { cat "$DIR/$1.crowd" "$DIR/$1.verdict" && return 1; }
}
