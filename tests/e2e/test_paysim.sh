#!/bin/bash
# Every rule of tools/paysim, asked with curl.  Signatures are made and checked with openssl here, so
# that the provider's own code does not judge itself.
#   PAYSIM: the program; without it $BUILD/paysim, else build/gcc/paysim.
set -u
cd "$(dirname "$0")/../.." || exit 1
paysim=${PAYSIM:-${BUILD:-build/gcc}/paysim}
[ -x "$paysim" ] || { echo "no program $paysim"; echo "0 passed, 1 failed"; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/test_paysim.XXXXXX")
passed=0 failed=0 children=()
finish() {
    for child in "${children[@]}"; do kill "$child" 2>/dev/null; done
    wait
    rm -rf "$work"
}
trap finish EXIT
secret=correct-horse-battery-staple
echo "$secret" >"$work/secret"

check() { # NAME EXPECTED GOT
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED %s\n  expected: %s\n  got:      %s\n' "$1" "$2" "$3"
    fi
}
# Waits up to 5 s for a line of a growing file, or for a command to succeed.
until_true() {
    for _ in $(seq 100); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    return 1
}
mac() { printf '%s.%s' "$1" "$2" | openssl dgst -sha256 -hmac "${3:-$secret}" -r | cut -d' ' -f1; }

# ---- The merchant's side: a receiver of callbacks that answers what $work/answer says ------------
cat >"$work/receiver.py" <<'PYTHON'
import http.server, json, os, sys
work = sys.argv[1]
class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with open(work + "/got", "a") as out:
            out.write(json.dumps({"path": self.path, "signature": self.headers["X-Paysim-Signature"],
                                  "body": body}) + "\n")
        with open(work + "/answer") as answer:
            self.send_response(int(answer.read()))
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
with open(work + "/port.new", "w") as out:
    out.write(str(server.server_port))
os.rename(work + "/port.new", work + "/port")
server.serve_forever()
PYTHON
echo 200 >"$work/answer"
: >"$work/got"
/usr/bin/python3 "$work/receiver.py" "$work" &
children+=($!)
until_true test -s "$work/port" || { echo "no receiver"; echo "0 passed, 1 failed"; exit 1; }
notify=http://127.0.0.1:$(cat "$work/port")/cb

start() { # OPTION…: sets $url and $pid
    : >"$work/out"
    "$paysim" --listen 127.0.0.1:0 --secret-file "$work/secret" "$@" >"$work/out" &
    pid=$!
    children+=("$pid")
    until_true grep -q '^paysim listening on 127' "$work/out"
    url=http://$(sed -n 's/^paysim listening on //p' "$work/out")
}

# Requests leave the status in $status and the body in $body.
request() { # CURL ARGUMENT…
    status=$(curl -s -m 10 -o "$work/body" -w '%{http_code}' "$@")
    body=$(cat "$work/body")
}
signed() { # PATH BODY [SECRET [SECONDS]]
    local now=${4:-$(date +%s)}
    : >"$work/body"
    request "$url$1" -H "X-Paysim-Signature: t=$now,v1=$(mac "$now" "$2" "${3:-$secret}")" \
        -H 'Content-Type: application/json' --data-binary "$2"
}
prepay_body() { # PAYMENT ORDER AMOUNT [CURRENCY [EXTRA]]
    printf '{"merchant":"doorbuster","payment_id":"%s","order_id":"%s","amount":%s,"currency":"%s","notify_url":"%s"%s}' \
        "$1" "$2" "$3" "${4:-CNY}" "$notify" "${5:-}"
}
prepay() {
    signed /v1/prepay "$(prepay_body "$@")"
    txn=$(jq -r .provider_txn <<<"$body")
}
pay() { request "$url/pay/$1" -H 'Content-Type: application/json' -d "{\"result\":\"$2\"}"; }
control() { request "$url/control" -d "$1"; }
query() { request "$url/v1/payments/$1"; }
of() { jq -r "$1" <<<"$body"; }
got_of() { jq -c "select((.body | fromjson).payment_id == \"$1\")" "$work/got"; }
got_count() { got_of "$1" | wc -l; }
got_at_least() { [ "$(got_count "$1")" -ge "$2" ]; }
refund_body() { # REFUND PAYMENT AMOUNT [CURRENCY]
    printf '{"refund_id":"%s","payment_id":"%s","amount":%s,"currency":"%s"}' "$1" "$2" "$3" "${4:-CNY}"
}

start --merchant doorbuster --seed 7

# ---- Prepay ---------------------------------------------------------------------------------------
prepay 1 11 1999
check "prepay is 201" 201 "$status"
check "prepay gives a page" "$url/pay/$txn" "$(of .pay_url)"
first=$txn
prepay 1 11 1999
check "again is 200" 200 "$status"
check "again is the same txn" "$first" "$txn"
prepay 1 11 2000
check "another amount is 409" "409 conflict" "$status $(of .code)"
prepay 1 12 1999
check "another order is 409" 409 "$status"
prepay 1 11 1999 USD
check "another currency is 409" 409 "$status"
prepay 2 12 1
check "another payment has another txn" yes "$([ "$txn" != "$first" ] && [ "$status" = 201 ] && echo yes)"

good=$(prepay_body 3 13 5)
signed /v1/prepay "$good" another-secret
check "another secret is 401" "401 bad_signature" "$status $(of .code)"
now=$(date +%s)
request "$url/v1/prepay" -H "X-Paysim-Signature: t=$now,v1=$(mac "$now" "$good")" -d "${good/:5,/:6,}"
check "an altered body is 401" 401 "$status"
request "$url/v1/prepay" -d "$good"
check "no signature is 401" 401 "$status"
signed /v1/prepay "$good" "$secret" $((now - 400))
check "an old signature is 401" 401 "$status"
signed /v1/prepay "$good" "$secret" $((now + 400))
check "a future signature is 401" 401 "$status"
query 3
check "none of them had an effect" "404 no_such_payment" "$status $(of .code)"
signed /v1/prepay "${good/doorbuster/others}"
check "another merchant is 403" 403 "$status"
for bad in '{' '[]' 'null' '{"a":1,"a":2}' "${good/:5,/:0,}" "${good/:5,/:1.5,}" "${good/:5,/:\"5\",}" \
    "${good/CNY/cny}" "${good/\"3\"/\"a b\"}" "${good/\"3\"/3}" "${good/\"3\"/\"\"}" \
    "${good/http:/https:}" "${good/127.0.0.1/10.1.2.3}" "${good/\"merchant\":\"doorbuster\",/}"; do
    signed /v1/prepay "$bad"
    check "refused as 400: $bad" 400 "$status"
done
signed /v1/prepay "$(printf '{"x":"%020000d"}' 1)"
check "a long body is 413" 413 "$status"

# ---- Pay, query, callback ------------------------------------------------------------------------
query 1
check "query: pending" "200 pending 1999 CNY $first" \
    "$status $(of '"\(.status) \(.amount) \(.currency) \(.provider_txn)"')"
check "query is not signed wrongly either" 401 \
    "$(curl -s -o /dev/null -w '%{http_code}' -H 'X-Paysim-Signature: t=1,v1=00' "$url/v1/payments/1")"
request "$url/pay/$first"
check "the page has a button" yes "$(grep -q '<button name="result" value="success">Pay' <<<"$body" && echo yes)"
request "$url/pay/nothing"
check "no such page" 404 "$status"
pay "$first" maybe
check "an unknown result is 400" 400 "$status"
before=$(date +%s)
pay "$first" success
check "paying is 200" "200 succeeded" "$status $(of .status)"
until_true got_at_least 1 1
check "one callback" 1 "$(got_count 1)"
callback=$(got_of 1 | jq -r .body)
check "the callback tells everything" \
    "payment.succeeded doorbuster 1 11 $first 1999 CNY" \
    "$(jq -r '"\(.type) \(.merchant) \(.payment_id) \(.order_id) \(.provider_txn) \(.amount) \(.currency)"' <<<"$callback")"
check "and when" yes "$(jq -r "if .created_at >= $before and .created_at <= $before + 5 then \"yes\" else . end" <<<"$callback")"
check "and its event" yes "$(jq -r 'if (.event_id | test("^ev_[0-9a-f]{16}$")) then "yes" else . end' <<<"$callback")"
signature=$(got_of 1 | jq -r .signature)
seconds=$(sed -n 's/^t=\([0-9]*\),v1=[0-9a-f]\{64\}$/\1/p' <<<"$signature")
check "the callback is signed" "t=$seconds,v1=$(mac "$seconds" "$callback")" "$signature"
check "signed now" yes "$([ "$seconds" -ge "$before" ] && [ "$seconds" -le $((before + 5)) ] && echo yes)"
query 1
check "query: succeeded" succeeded "$(of .status)"
pay "$first" success
check "paying again is 200" 200 "$status"
pay "$first" fail
check "failing what is paid is 409" 409 "$status"
prepay 4 14 700
request "$url/pay/$txn" -d result=fail
check "the page's form works" 200 "$status"
until_true got_at_least 4 1
check "a failure is told" payment.failed "$(got_of 4 | jq -r '.body | fromjson | .type')"
pay "$txn" success
check "paying what failed is 409" "409 failed" "$status $(of .status)"
prepay 5 15 700 CNY ",\"expires_at\":$(($(date +%s) - 1))"
pay "$txn" success
check "paying too late is 409" "409 closed" "$status $(of .status)"
query 5
check "too late is closed" closed "$(of .status)"

# ---- Close ----------------------------------------------------------------------------------------
prepay 6 16 700
signed /v1/payments/6/close '{"payment_id":"6"}'
check "close is 200" "200 closed" "$status $(of .status)"
signed /v1/payments/6/close '{"payment_id":"6"}'
check "close twice is 200" 200 "$status"
pay "$txn" success
check "nobody pays what is closed" 409 "$status"
signed /v1/payments/1/close '{"payment_id":"1"}'
check "close after success is 409" "409 already_succeeded" "$status $(of .code)"
signed /v1/payments/2/close '{"payment_id":"6"}'
check "close of another payment is 400" 400 "$status"
request "$url/v1/payments/2/close" -d '{"payment_id":"2"}'
check "close unsigned is 401" 401 "$status"
signed /v1/payments/99/close '{"payment_id":"99"}'
check "close of nothing is 404" 404 "$status"

# ---- Refunds --------------------------------------------------------------------------------------
signed /v1/refunds "$(refund_body r1 1 1000)"
check "refund is 201" "201 r1 succeeded" "$status $(of '"\(.refund_id) \(.status)"')"
signed /v1/refunds "$(refund_body r1 1 1000)"
check "refund again is 200" "200 r1 succeeded" "$status $(of '"\(.refund_id) \(.status)"')"
signed /v1/refunds "$(refund_body r1 1 999)"
check "the same refund_id for another amount is 409" "409 conflict" "$status $(of .code)"
signed /v1/refunds "$(refund_body r2 1 1000)"
check "more than is left is 409" "409 exceeds_captured" "$status $(of .code)"
signed /v1/refunds "$(refund_body r2 1 999 USD)"
check "another currency is 409" "409 wrong_currency" "$status $(of .code)"
signed /v1/refunds "$(refund_body r2 1 999)"
check "the rest is 201" 201 "$status"
signed /v1/refunds "$(refund_body r3 1 1)"
check "one unit more is 409" 409 "$status"
signed /v1/refunds "$(refund_body r4 2 1)"
check "refund of what is not paid is 409" "409 not_captured" "$status $(of .code)"
signed /v1/refunds "$(refund_body r5 99 1)"
check "refund of nothing is 404" 404 "$status"
request "$url/v1/refunds" -d "$(refund_body r6 1 1)"
check "refund unsigned is 401" 401 "$status"
request "$url/ledger"
check "the ledger's sums" "1999 1999" "$(of '"\(.captured) \(.refunded)"')"
check "the ledger's refunds" "r1 r2" "$(of '[.refunds[].refund_id] | join(" ")')"
check "the ledger's payments" "1:succeeded:1999:1:1 2:pending:0:0:0" \
    "$(of '[.payments[0:2][] | "\(.payment_id):\(.status):\(.refunded):\(.callbacks_sent):\(.callbacks_acknowledged)"] | join(" ")')"

# ---- Callbacks are repeated until 2xx -----------------------------------------------------------
echo 503 >"$work/answer"
prepay 20 120 10
pay "$txn" success
until_true got_at_least 20 3
check "a refused callback comes again" yes "$(got_at_least 20 3 && echo yes)"
check "with the same event" 1 "$(got_of 20 | jq -r '.body | fromjson | .event_id' | sort -u | wc -l)"
echo 204 >"$work/answer"
until_true sh -c "curl -s $url/ledger | jq -e '.callbacks_waiting == 0'"
count=$(got_count 20)
sleep 1
check "until it is taken" "$count" "$(got_count 20)"
echo 200 >"$work/answer"

# ---- Misbehaviour -----------------------------------------------------------------------------------
control '{"callback_copies":3,"callback_delay_ms":300}'
check "control tells what is set" "200 3 300" "$status $(of '"\(.callback_copies) \(.callback_delay_ms)"')"
for bad in '{"slow_ms":-1}' '{"slow_ms":1.5}' '{"silent":1}' '{"fail_rate":2}' '{"nonsense":1}' '[]' \
    '{"callback_copies":9,"fail_rate":"x"}'; do
    control "$bad"
    check "control refuses $bad" 400 "$status"
done
request "$url/control"
check "and changes nothing" "3 300" "$(of '"\(.callback_copies) \(.callback_delay_ms)"')"
prepay 21 121 10
pay "$txn" success
check "not before the delay" 0 "$(got_count 21)"
until_true got_at_least 21 3
sleep 0.2
check "three copies" 3 "$(got_count 21)"
check "of one event" 1 "$(got_of 21 | jq -r '.body | fromjson | .event_id' | sort -u | wc -l)"
control '{"callback_copies":1,"callback_delay_ms":0,"wrong_amount":true,"wrong_currency":true,"wrong_merchant":true}'
prepay 22 122 10
pay "$txn" success
until_true got_at_least 22 1
check "wrong amount, currency, merchant" "11 XTS somebody-else" \
    "$(got_of 22 | jq -r '.body | fromjson | "\(.amount) \(.currency) \(.merchant)"')"
control '{"wrong_amount":false,"wrong_currency":false,"wrong_merchant":false,"stale_seconds":900}'
prepay 23 123 10
pay "$txn" success
until_true got_at_least 23 1
seconds=$(got_of 23 | jq -r .signature | sed 's/^t=\([0-9]*\),.*/\1/')
check "stale" yes "$([ $(($(date +%s) - seconds)) -ge 900 ] && echo yes)"
control '{"stale_seconds":0,"bad_signature":true}'
prepay 24 124 10
pay "$txn" success
until_true got_at_least 24 1
seconds=$(got_of 24 | jq -r .signature | sed 's/^t=\([0-9]*\),.*/\1/')
check "bad signature" differs \
    "$([ "t=$seconds,v1=$(mac "$seconds" "$(got_of 24 | jq -r .body)")" = "$(got_of 24 | jq -r .signature)" ] || echo differs)"
control '{"bad_signature":false,"drop_callbacks":true}'
prepay 25 125 10
pay "$txn" success
sleep 0.5
query 25
check "dropped: paid, but never told" "succeeded 0" "$(of .status) $(got_count 25)"
control '{"drop_callbacks":false,"callback_reorder":true}'
: >"$work/got"
for i in $(seq 30 45); do
    prepay "$i" "1$i" 10
    pay "$txn" success
done
until_true sh -c "curl -s $url/ledger | jq -e '.callbacks_waiting == 0'"
order=$(jq -r '.body | fromjson | .payment_id' "$work/got" | tr '\n' ' ')
check "reordered: all of them" "$(seq 30 45 | tr '\n' ' ')" "$(tr ' ' '\n' <<<"$order" | sort -n | grep . | tr '\n' ' ')"
check "reordered: not in order" yes "$([ "$order" != "$(seq 30 45 | tr '\n' ' ')" ] && echo yes)"
control '{"callback_reorder":false,"slow_ms":700}'
began=$(date +%s%N)
prepay 50 150 10
check "slow, but right" yes "$([ $((($(date +%s%N) - began) / 1000000)) -ge 700 ] && [ "$status" = 201 ] && echo yes)"
control '{"slow_ms":0,"silent":true}'
check "silent never answers" 000 \
    "$(body=$(prepay_body 51 151 10) now=$(date +%s); curl -s -m 1 -o /dev/null -w '%{http_code}' "$url/v1/prepay" \
        -H "X-Paysim-Signature: t=$now,v1=$(mac "$now" "$body")" -d "$body")"
query 51
check "silent has carried it out" "200 pending" "$status $(of .status)"
control '{"silent":false,"fail_refunds":true}'
signed /v1/refunds "$(refund_body r20 20 10)"
check "a refund can fail" "201 failed" "$status $(of .status)"
control '{"fail_refunds":false}'
signed /v1/refunds "$(refund_body r20 20 10)"
check "and stays failed" "200 failed" "$status $(of .status)"
signed /v1/refunds "$(refund_body r21 20 10)"
check "another one may succeed" "201 succeeded" "$status $(of .status)"
control '{"fail_rate":1}'
for i in $(seq 60 71); do
    prepay "$i" "1$i" 10
    check "fail_rate 1 fails" 500 "$status"
done
control '{"fail_rate":0}'
effects=$(for i in $(seq 60 71); do query "$i" && echo "$status"; done | sort | uniq -c | wc -l)
check "some before the effect, some after it" 2 "$effects"

# ---- The process -----------------------------------------------------------------------------------
check "it stays on loopback" "1" "$("$paysim" --secret-file "$work/secret" --listen 0.0.0.0:0 >/dev/null 2>&1; echo $?)"
check "it wants a secret" 2 "$("$paysim" --listen 127.0.0.1:0 >/dev/null 2>&1; echo $?)"
check "it knows its options" 2 "$("$paysim" --secret-file "$work/secret" --slow-ms=-3 >/dev/null 2>&1; echo $?)"
control '{"silent":true}'
body=$(prepay_body 80 180 10) now=$(date +%s)
curl -s -m 10 "$url/v1/prepay" -H "X-Paysim-Signature: t=$now,v1=$(mac "$now" "$body")" -d "$body" >/dev/null &
children+=($!)
sleep 0.2
kill -TERM "$pid"
wait "$pid"
check "SIGTERM stops it cleanly, also with somebody waiting" 0 $?
start --seed 7 --callback-copies 2 --silent=no
prepay 1 11 1999
check "the seed gives the numbers" "$first" "$txn"
request "$url/control"
check "options set the knobs" 2 "$(of .callback_copies)"
kill -INT "$pid"
wait "$pid"
check "SIGINT stops it cleanly" 0 $?
# A parent that starts it with --with-parent and goes.
bash -c '"$1" --with-parent --listen 127.0.0.1:0 --secret-file "$2" >"$3" & echo $! >"$4"; read -r _ <"$5"' _ \
    "$paysim" "$work/secret" "$work/out" "$work/orphan" <(sleep 0.5; echo) &
wait $!
check "it ends with its parent" yes "$(until_true sh -c "! kill -0 $(cat "$work/orphan")" && echo yes)"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
