#!/bin/bash
# The operators' door on a running shop: roles, the record with before and after, a ban that counts
# at once, dead letters, an order cancelled and followed, who is refused, three hundred at once.
# Mail cannot be delivered and is given up after one attempt.
e2e_sets=(mail.smtp_url=smtp://127.0.0.1:9 mail.attempts_max=1 http.rate_user=0)
# shellcheck source=tests/lib/e2e.sh
. tests/lib/e2e.sh

as() { # NAME doorctl's words…: with that key; sets $out, $said, $code
    local name=$1
    shift
    out=$("$BUILD/doorctl" --socket "$DOOR" --key "$DIR/operators/$name" --json "$@" 2>"$DIR/said")
    code=$?
    said=$(cat "$DIR/said")
}
make_key() { # NAME ROLE [DIR]
    "$BUILD/doorbuster" keys --curve "$1" --role "$2" --dir "${3:-$DIR/operators}" >/dev/null
}
figure() { ctl status | jq -r "select(.name == \"doorbuster_$1\") | .value"; }
record() { ctl audit --limit 200 | jq -c "select(.command == \"$1\")" | tail -n 1; } # COMMAND

section "roles"
make_key vera viewer && make_key otto operator
make_sale 5
as vera sale list
check "a viewer looks" "0 $sale" "$code $(jq -r .sale_id <<<"$out")"
as vera sale pause "$sale"
check "a viewer touches nothing" 1 "$code"
check_true "he hears which role it needs" grep -q 'needs the role operator; the key vera has the role viewer' "$DIR/said"
check "nothing has happened" open "$(ctl sale show "$sale" | jq -r 'select(.opens_at) | .state')"
as otto audit
check "the record is for admins" "1 yes" "$code $(grep -q forbidden <<<"$said" && echo yes)"
as otto sale pause "$sale"
check "an operator pauses" "0 paused" "$code $(jq -r .state <<<"$out")"
as otto sale resume "$sale"

section "the record"
row=$(record "sale pause")
check "who, in which role, what" "otto operator $sale" "$(jq -r '"\(.who) \(.role) \(.fields.sale_id)"' <<<"$row")"
check "before and after: open, paused" "5 6" "$(jq -r '"\(.before.state) \(.after.state)"' <<<"$row")"
check "and the outcome" done "$(jq -r .outcome <<<"$row")"
as otto stock receive "$sku" 7
check "units before and after" 7 "$(record "stock receive" | jq '.after.on_hand - .before.on_hand')"
as otto sale settle "$sale"
check "what was refused is there, too" "4 illegal_state" "$code $(record "sale settle" | jq -r .outcome)"
as otto sku add 4711 "no such product"
check "and what was not found" "3 not_found" "$code $(record "sku add" | jq -r .outcome)"
check "viewers leave no trace" 0 "$(sql "SELECT count(*) FROM audit WHERE who = 'vera'")"
check "nobody can rewrite it" "" "$(sql "UPDATE audit SET who = 'nobody'" 2>/dev/null)$(sql 'DELETE FROM audit_end' 2>/dev/null)"
check_true "every row has its outcome" test "$(sql "SELECT count(*) FROM audit a LEFT JOIN audit_end e USING (audit_id)
    WHERE e.audit_id IS NULL AND a.command <> 'audit'")" = 0
if lock_hold audit; then
    as otto --timeout 20 sale pause "$sale" &
    sleep 1
    check "no row, no command" open "$(sql "SELECT CASE state WHEN 5 THEN 'open' ELSE state::text END FROM sale WHERE sale_id = $sale")"
    lock_release
    wait $!
fi
until_true 5 test "$(sql "SELECT state FROM sale WHERE sale_id = $sale")" = 6
as otto sale resume "$sale"
since=$(ctl audit --since -1s | wc -l)
check_true "audit --since leaves older ones out" test "$since" -lt "$(ctl audit --limit 1000 | wc -l)"

section "a ban, a kick"
register door-ban@example.org && get_ticket "$lot"
first=$token banned_ticket=$ticket who=$user
as otto user show door-ban@example.org
check "shown by login" "$user normal 1" "$(jq -r '"\(.user_id) \(.state) \(.sessions)"' <<<"$out")"
as otto user ban door-ban@example.org --reason "resells"
began=$(now_ms)
check "banned" "0 banned 0" "$code $(jq -r '"\(.state) \(.sessions)"' <<<"$out")"
token_is_off() { api GET /v1/orders "$first" && [ "$status" = 401 ]; }
check_true "its token is refused within a second" until_true 1 token_is_off
echo "    after $(($(now_ms) - began)) ms"
buy "$banned_ticket" "$first"
check "its ticket as well" 401 "$status"
log_in door-ban@example.org
check "no log-in" "403 account_banned" "$(problem)"
check "the record has account and reason" "resells 1 2" \
    "$(record "user ban" | jq -r '"\(.fields.reason) \(.before.state) \(.after.state)"')"
check "but no login in clear" "d***@example.org" "$(record "user ban" | jq -r .after.login)"
as otto user unban "$who"
check_true "unbanned, he logs in" log_in door-ban@example.org
second=$token
as otto user kick "$who"
kicked() { api GET /v1/orders "$second" && [ "$status" = 401 ]; }
check_true "kicked out within a second" until_true 1 kicked
check_true "and may come in again" log_in door-ban@example.org
as otto user ban nobody@example.org
check "nobody to ban" 3 "$code"

section "an order, cancelled and followed"
get_ticket "$lot" && insist
check "bought" 201 "$status"
as otto order cancel "$order" "asked by phone"
check "cancelled" "0 cancelled" "$code $(jq -r .state <<<"$out")"
check "the record: awaiting_payment, cancelled" "2 7 asked by phone" \
    "$(record "order cancel" | jq -r '"\(.before.state) \(.after.state) \(.fields.reason)"')"
check "no address in it" null "$(record "order cancel" | jq .before.address)"
as vera trace "$order"
check "its way, in time order" "0 yes" "$code $(jq -s 'map(.at) | if . == sort then "yes" else "no" end' -r <<<"$out")"
check "from the ticket to the cancel" "ticket orders order_event" \
    "$(jq -r .source <<<"$out" | grep -E '^(ticket|orders|order_event)$' | paste -sd' ')"
check "and the messages between the actors" "yes yes yes" "$(
    for step in 'bridge > inventory  reserve' 'inventory > order  place' 'order > pg_shard  purchase'; do
        jq -r 'select(.source == "message") | .what' <<<"$out" | grep -qxF "$step" && echo yes
    done | paste -sd' ')"
as vera trace 4711
check "an order that never was" 3 "$code"

section "dead letters"
letters() { [ "$(ctl dead list | jq -r 'select(.what == "outbox") | .letter_id' | wc -l)" -ge "$1" ]; }
check_true "mail that cannot be sent is there" until_true 20 letters 1
letter=$(ctl dead list | jq -r 'select(.what == "outbox") | .letter_id' | head -n 1)
as otto dead show "$letter"
check "open, with a reason" "0 open yes" "$code $(jq -r '"\(.state) \(if .reason then "yes" else "no" end)"' <<<"$out")"
mail=$(jq -r .reference <<<"$out")
as vera dead retry "$letter"
check "not for viewers" 1 "$code"
as otto dead retry "$letter"
check "retried" "0 retried otto" "$code $(jq -r '"\(.state) \(.ended_by)"' <<<"$out")"
again() { [ "$(sql "SELECT count(*) FROM dead_letter WHERE what = 'outbox' AND reference = $mail")" = 2 ]; }
check_true "it was tried again (and died again)" until_true 20 again
letter=$(sql "SELECT max(letter_id) FROM dead_letter WHERE what = 'outbox' AND reference = $mail")
as otto dead drop "$letter"
check "dropped" "0 dropped" "$code $(jq -r .state <<<"$out")"
as otto dead retry "$letter"
check "what was dropped stays so" 4 "$code"
check "not listed any more" "" "$(ctl dead list --limit 1000 | jq -r "select(.letter_id == \"$letter\") | .letter_id")"
check "but with --all" "$letter" "$(ctl dead list --all 1 --limit 1000 | jq -r "select(.letter_id == \"$letter\") | .letter_id")"
check "the record: open, dropped" "1 3" "$(record "dead drop" | jq -r '"\(.before.state) \(.after.state)"')"

section "who is refused"
before=$(figure 'curve_refused_total{domain=\"door\"}')
make_key eve admin "$DIR/strangers"
"$BUILD/doorctl" --socket "$DOOR" --key "$DIR/strangers/eve" sale list >/dev/null 2>"$DIR/said"
check "a key nobody knows" "1 yes" "$? $(grep -q 'does not let this key in' "$DIR/said" && echo yes)"
check_true "it is counted" test "$(figure 'curve_refused_total{domain=\"door\"}')" -gt "$before"
cat >"$DIR/strangers/printed" <<'END'
curve
    public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
END
cp "$DIR/strangers/printed" "$DIR/operators/printed"
sleep 0.6
as vera sale list
check "a test key in the folder harms nobody else" 0 "$code"
rm -f "$DIR/operators/printed"
make_key gone operator
as gone sale list
check "a new key counts at once" 0 "$code"
rm -f "$DIR/operators/gone"
sleep 0.6
as gone sale list
check "and one taken away no more" 1 "$code"

section "three hundred at once"
for i in $(seq 300); do
    "$BUILD/doorctl" --socket "$DOOR" --timeout 60 --json sale list >"$DIR/at-once.$i" 2>&1 &
done
wait $(jobs -p)
check "each has its answer" 300 "$(cat "$DIR"/at-once.* | grep -c "\"sale_id\":\"$sale\"")"
rm -f "$DIR"/at-once.*

section "what people see"
check "top, once" "yes" "$(ctl top --once | jq -r 'if .identity.off == 0 and (.sales | length) > 0 then "yes" else "no" end')"
check_true "without a terminal it ends" grep -q '^identity  exact' <("$BUILD/doorctl" --socket "$DOOR" top)
check "sale show says where a lot is" 0 "$(ctl sale show "$sale" | jq -r 'select(.lot_id) | .shard')"
check "the same for people" 1 "$("$BUILD/doorctl" --socket "$DOOR" sale show "$sale" | grep -c ' shard=0')"
"$BUILD/doorctl" --socket "$DIR/nowhere" --key "$DIR/operators/otto" --door-key "$DIR/door.key" --timeout 1 status >/dev/null 2>&1
check "no server" 5 "$?"
mkdir -p "$DIR/empty" # Nobody has ever been there, or the folder of the socket went away with the server.
for words in status trace\ 1 top\ --once; do
    # shellcheck disable=SC2086 # Several words.
    "$BUILD/doorctl" --socket "$DIR/empty/door.sock" --key "$DIR/operators/otto" --door-key "$DIR/empty/door.key" $words >/dev/null 2>"$DIR/said"
    check "$words: no door's key, no server" "5 yes" "$? $(grep -q 'no server at' "$DIR/said" && echo yes)"
done
"$BUILD/doorctl" --socket "$DOOR" --key "$DIR/empty/nobody" status >/dev/null 2>&1
check "no key of one's own is another matter" 1 "$?"
"$BUILD/doorctl" --endpoint tcp://127.0.0.1:9 status >/dev/null 2>&1
check "and none named at all is wrong usage" 2 "$?"
"$BUILD/doorctl" sale explode >/dev/null 2>&1
check "wrong usage" 2 "$?"
slip() { # EXIT-CODE WORD-IN-THE-ANSWER doorctl's words…
    local code=$1 word=$2
    shift 2
    "$BUILD/doorctl" --socket "$DOOR" "$@" >/dev/null 2>"$DIR/said"
    check "doorctl $*: says what is wrong" "$code 1 yes" "$? $(wc -l <"$DIR/said") $(grep -qF -- "$word" "$DIR/said" && echo yes)"
}
slip 2 '--bogus is not an option' --bogus sale list
slip 2 '--timeout needs a number of seconds' --timeout soon sale list
slip 2 '--timeout needs a number of seconds' sale list --timeout 0
slip 2 '`+5m`' sale create Friday tomorrow +1h
slip 2 '`15m`' sale create Friday now +1h --pay-window long
slip 2 'a number' sale show Friday
slip 3 'no such sale' reconcile --sale-id 77
"$BUILD/doorctl" sal >"$DIR/out" 2>"$DIR/said"
check "what is no command: the commands there are" "2 yes" "$? $(grep -q '  sale list ' "$DIR/said" && echo yes)"
"$BUILD/doorctl" help >"$DIR/out" 2>&1
check "help" "0 yes" "$? $(grep -q '  sale list ' "$DIR/out" && echo yes)"
"$BUILD/doorctl" completion --help >"$DIR/out" 2>&1
check "help of completion" "0 yes" "$? $(grep -q 'bash|zsh' "$DIR/out" && echo yes)"
"$BUILD/doorctl" --socket "$DOOR" sale list >/dev/full 2>"$DIR/said"
check "an answer that cannot be written is no success" "1 yes" "$? $(grep -q 'could not write' "$DIR/said" && echo yes)"
check_true "status tells less than a second, too" grep -q 'pg_statement_seconds_sum.* value=[0-9]* exact="[0-9]*\.[0-9]' <("$BUILD/doorctl" --socket "$DOOR" status)
offered() { # WORD…: what bash offers for the last one
    # shellcheck source=/dev/null
    (. <("$BUILD/doorctl" completion bash) && COMP_WORDS=(doorctl "$@") COMP_CWORD=$# && _doorctl && echo "${COMPREPLY[*]}")
}
check "completion: nouns" "sku stock sale status shard" "$(offered s)"
check "verbs" "show schedule settle" "$(offered sale s | tr ' ' '\n' | grep -E '^(show|schedule|settle)$' | sort | paste -sd' ' | sed 's/schedule settle show/show schedule settle/')"
check "options" "--pay-window" "$(offered sale create --p)"
check "with options before" "--limit" "$(offered --socket "$DOOR" audit --l)"
check_true "the account is exact" reconciled 5
