#!/bin/bash
# What a node shows of itself: metrics that Prometheus takes, a log without secrets, settings and
# keys that change at SIGHUP.
e2e_sets=(log.level=debug log.rate=0 catalogue.reconcile_every=1s)
# Nobody takes mail there: what its failure writes into the log is looked at, too.
e2e_before() { export DOORBUSTER_MAIL_SMTP_URL=smtp://127.0.0.1:1; }
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh
log=$DIR/doorbuster.log
metrics() { curl -s -m 5 "${1:-$BASE}/metrics"; }
figure() { metrics | awk -v name="doorbuster_$1" '$1 == name { print $2 }'; }
figure_is() { [ "$(figure "$1")" = "$2" ]; }

section "a walk"
make_sale 10 2 15m
register ada@example.org
access=$token kept=$refresh
get_ticket "$lot"
buy
check "order" 201 "$status"
bought=$ticket
open_payment
check_true "pay" pay_at_provider
check_true "paid" until_true 5 order_is paid "$order"
api POST /v1/sessions '' '{"login":"ada@example.org","password":"wrong mule"}'
api POST /v1/orders "$token" '{"ticket":"forged.ticket","quantity":1}'
callback '{"payment_id":"1"}' wrong-secret
api POST /v1/sessions/refresh '' "{\"refresh_token\":\"$refresh\"}"
fresh=$(of .refresh_token)
ctl order show "$order" >/dev/null

section "metrics"
check_true "promtool takes them" bash -c "curl -s $BASE/metrics | promtool check metrics"
metrics >"$DIR/metrics"
for series in 'http_request_seconds_count{message="order_create"}' 'http_problems_total{problem="wrong_password"}' \
    'pg_statement_seconds_count{message="purchase"}' 'redis_call_seconds_count{script="reserve"}' \
    'mailbox_wait_seconds_count{address="bridge"}' 'build_info{version="'; do
    check_true "there is $series" grep -qF "doorbuster_$series" "$DIR/metrics"
done
for series in process_cpu_seconds_total process_resident_memory_bytes process_open_fds process_start_time_seconds; do
    check_true "$series is a number above 0" awk -v n="$series" '$1 == n && $2 > 0 { f = 1 } END { exit !f }' "$DIR/metrics"
done
check "requests by message" 2 "$(figure 'http_request_seconds_count{message="order_create"}')"
# Labels hold words of ours and small numbers: no id, no path, nothing that a client chose.
check "no label holds an id" '' "$(grep -o '{[^}]*}' "$DIR/metrics" | grep -oE '"[^"]*"' | sort -u |
    grep -vE '^"([a-z0-9_]{1,30}|[2-5]xx|\+Inf|[0-9]{1,5}|[0-9]+\.[0-9]+(\.[0-9]+)?)"$')"
check_true "the account is compared" until_true 10 figure_is identity_lots 1
check "and exact" "0 0" "$(figure identity_lots_off) $(figure identity_difference_units)"
check_true "when" bash -c "[ $(figure identity_checked_timestamp_seconds | cut -d. -f1) -ge $(($(date +%s) - 30)) ]"
sql "UPDATE lot SET sold = sold - 1 WHERE lot_id = $lot" # Somebody meddles.
check_true "a unit that is off is seen" until_true 10 figure_is identity_lots_off 1
sql "UPDATE lot SET sold = sold + 1 WHERE lot_id = $lot"
check_true "and seen to be right again" until_true 10 figure_is identity_lots_off 0

section "commit lag"
register bob@example.org
get_ticket "$lot"
lock_hold lot
buy
check "nobody decides: a receipt" 202 "$status"
check_true "the lag grows" until_true 10 bash -c "[ \"\$(curl -s $BASE/metrics |
    awk '\$1 == \"doorbuster_commit_lag_seconds{shard=\\\"0\\\"}\" && \$2 >= 1 { print 1 }')\" = 1 ]"
check "undecided" 1 "$(figure 'purchases_undecided{shard="0"}')"
lock_release
check_true "and ends with the decision" until_true 10 figure_is 'purchases_undecided{shard="0"}' 0
check_true "the lag too" until_true 5 figure_is 'commit_lag_seconds{shard="0"}' 0
check_true "the journal is empty again" until_true 5 figure_is 'journal_rows{shard="0"}' 0

section "purchases that come too late"
register cy@example.org
get_ticket "$lot"
one=$ticket one_token=$token
register dan@example.org
get_ticket "$lot"
redis client pause 1500 >/dev/null
(buy "$one" "$one_token") & # Under way when Redis stops answering ...
sleep 0.2
buy # ... and this one waits behind it for longer than its hold time.
check_true "is refused" test "$status" = 503
wait $!
check_true "and counted" until_true 5 bash -c "[ \"\$(curl -s $BASE/metrics |
    awk '\$1 == \"doorbuster_messages_expired_total{address=\\\"redis\\\"}\" { print \$2 }')\" -ge 1 ]"

section "settings that change"
register eve@example.org
hammer() { # Requests of one user until told to stop; a status a line.
    while [ ! -e "$DIR/enough" ]; do
        curl -s -m 5 -o /dev/null -w '%{http_code}\n' -H "Authorization: Bearer $token" "$BASE/v1/orders"
    done >>"$DIR/statuses"
}
hammer &
hammer_pid=$!
mine+=("$hammer_pid")
sleep 0.5
sed -i 's/^http$/http\n    rate_user = 1\n    rate_user_burst = 1\n    body_max = 32k/' "$CONFIG"
kill -s HUP "$server"
check_true "the log tells old and new" until_true 5 grep -q 'msg=changed key=http.rate_user before=10 after=1$' "$log"
check_true "and the burst" grep -q 'msg=changed key=http.rate_user_burst before=20 after=1$' "$log"
check_true "a key that cannot change is refused with its reason" grep -q \
    'level=warn.*msg="not changed" key=http.body_max value=16k wanted=32k why="this key is read at the start only' "$log"
check_true "what was done" until_true 5 grep -q 'msg=done changed=2 refused=1' "$log"
sleep 1
limited=$(wc -l <"$DIR/statuses")
sleep 3
touch "$DIR/enough"
wait "$hammer_pid" 2>/dev/null
mine=()
tail -n +"$((limited + 1))" "$DIR/statuses" >"$DIR/after"
check_true "before: many" test "$(grep -c 200 "$DIR/statuses")" -ge 10
check_true "after: one a second" test "$(grep -c 200 "$DIR/after")" -ge 2 -a "$(grep -c 200 "$DIR/after")" -le 4
check_true "the rest 429" grep -q 429 "$DIR/after"
check "nothing was cut off" '' "$(grep -v '^200$\|^429$' "$DIR/statuses")"

cp "$CONFIG" "$DIR/good.zpl"
printf 'http\n    rate_user = many\n' >"$CONFIG"
kill -s HUP "$server"
check_true "a broken file is refused with its line" until_true 5 grep -q \
    'msg="refused, nothing has changed" why=.*doorbuster.zpl:2: http.rate_user' "$log"
sleep 1.1
api GET /v1/orders "$token"
api GET /v1/orders "$token"
check "and nothing has changed" "429 rate_limited" "$(problem)"
sed 's/rate_user = 1$/rate_user = 1000/; s/rate_user_burst = 1$/rate_user_burst = 1000/; /body_max/d' "$DIR/good.zpl" >"$CONFIG"
kill -s HUP "$server"
check_true "a good one again" until_true 5 grep -q 'msg=changed key=http.rate_user before=1 after=1000$' "$log"

section "keys"
key() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
cp "$DIR/keys" "$DIR/keys.old"
chmod 600 "$DIR/keys.old"
echo "2 $(key)" >>"$DIR/keys"
kill -s HUP "$server"
check_true "the new key signs" until_true 5 grep -q 'msg="keys changed" count=2 signing=2' "$log"
api GET /v1/orders "$token"
check "a token of the old key is good" 200 "$status"
log_in eve@example.org
new=$token
check "log in under the new one" 201 "$status"
echo "3 not hex" >>"$DIR/keys"
kill -s HUP "$server"
check_true "a broken key file is refused" until_true 5 grep -q 'why="keys.file: .*must be an id and 64 hex digits' "$log"
api GET /v1/orders "$new"
check "and nothing has changed" 200 "$status"
grep '^[#1]' "$DIR/keys" >"$DIR/keys.one" && cat "$DIR/keys.one" >"$DIR/keys"
kill -s HUP "$server"
check_true "a key that is removed" until_true 5 grep -q 'msg="keys changed" count=1 signing=1' "$log"
check_true "verifies no more" until_true 3 bash -c "[ \$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer $new' $BASE/v1/orders) = 401 ]"

section "a node without shoppers"
admin=$(e2e_free_port)
sets=(--set "broker.endpoint=ipc://$DIR/broker.sock" --set "node.listen=ipc://$DIR/links")
mkdir -p "$DIR/links"
"$BUILD/doorbuster" broker --config "$CONFIG" "${sets[@]}" --set "admin.listen=127.0.0.1:$(e2e_free_port)" \
    --set "door.endpoint=ipc://$DIR/door2.sock" >"$DIR/broker.log" 2>&1 </dev/null &
mine+=($!)
"$BUILD/doorbuster" serve --actors session --config "$CONFIG" "${sets[@]}" --set node.name=session \
    --set "admin.listen=127.0.0.1:$admin" \
    >"$DIR/node.log" 2>&1 </dev/null &
mine+=($!)
node=http://127.0.0.1:$admin
check_true "healthz" until_true 20 curl -sf -o /dev/null "$node/healthz"
check_true "readyz" until_true 10 curl -sf -o /dev/null "$node/readyz"
check_true "promtool takes its metrics" bash -c "curl -s $node/metrics | promtool check metrics"
check_true "of its own actors" bash -c "curl -s $node/metrics | grep -q 'mailbox_depth{address=\"session\"}'"
check "shoppers find nothing" 404 "$(curl -s -o /dev/null -w '%{http_code}' "$node/v1/sales")"
check_true "its lines name the node" grep -q ' node=[0-9]* actor=' "$DIR/node.log"

section "the log keeps secrets"
while read -r name secret; do
    check "no $name in the log" 0 "$(grep -cF -- "$secret" "$log")"
done <<END
password correct horse
wrong-password wrong mule
login ada@example.org
login-part ada@
access-token $access
access-token-part ${access:20:30}
refresh-token $kept
refresh-token-2 $fresh
ticket $bought
ticket-part ${bought:20:30}
forged-ticket forged.ticket
name A. Buyer
phone +49 30 123456
phone-part 123456
street Long Street
city Berlin
provider-secret $paysim_secret
key $(awk '$1 == 1 { print $2 }' "$DIR/keys")
password-hash argon2
END
check_true "every line is logfmt" awk '!/^ts=[0-9TZ:.-]+ level=(debug|info|warn|error) (node=[0-9]+ )?actor=[a-z_0-9-]+ msg=/ { print; bad = 1 } END { exit bad }' "$log"
check_true "a refused callback carries its trace" grep -q 'msg="callback refused".* trace=[0-9a-f]\{16\}' "$log"
