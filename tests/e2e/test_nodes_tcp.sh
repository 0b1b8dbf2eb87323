#!/bin/bash
# The same over tcp with CURVE: a sale, a key that is on no list, a node in another one's name, one
# that speaks to others as a third, an endpoint without keys.
# shellcheck disable=SC2034 # e2e.sh reads what is set here.
e2e_nodes="edge=edge core=shard shop=shop"
e2e_tcp=1
e2e_sets=(order.batch_max=64)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh
. tests/lib/crash.sh

seed 1300

section "a sale"
check_true "links are tcp" grep -q tcp://127.0.0.1: <<<"$(ctl node list | jq -r .endpoints)"
rush tcp 50 --rush-ms 3000
aftermath 3000
check "no message was lost between nodes" 0 "$(($(node_figure edge link_gap_total) + $(node_figure core link_gap_total)))"
check_true "they went by links" test "$(node_figure edge link_sent_total)" -gt 1000
check_true "with keys" test "$(node_figure core curve_accepted_total)" -ge 1
check "nobody was refused" 0 "$(node_figure broker curve_refused_total)"

section "keys"
# A copy of the edge with a key of its own that nobody has put on a list.
"$BUILD/doorbuster" keys --curve stranger --dir "$DIR/other" >/dev/null
sed 's/^node\.name=.*/node.name=stranger/; s/^http\.listen=.*/http.listen=127.0.0.1:0/; s|^curve\.file=.*|curve.file='"$DIR/other/stranger"'|' \
    "$DIR/edge.args" >"$DIR/stranger.args"
node_start stranger
refused() { [ "$(node_figure broker curve_refused_total)" -ge 1 ]; }
check_true "an unknown key is refused and counted" until_true 10 refused
sleep 1
check "it is no node" 3 "$(ctl node list | jq -s 'map(select(.name != "broker")) | length')"
check_true "its log says that it waits" until_true 10 grep -q "waiting for the broker" "$DIR/stranger.log"
# On the list it comes in, without a restart of anybody.
cp "$DIR/other/stranger" "$DIR/curve/"
joined() { ctl node list | jq -e 'select(.name == "stranger")' >/dev/null; }
check_true "with its key on the list it is one" until_true 15 joined
node_stop stranger

# Somebody with a good key who says that he is another node.
sed 's/^node\.name=.*/node.name=core/; s/^http\.listen=.*/http.listen=127.0.0.1:0/' "$DIR/stranger.args" >"$DIR/liar.args"
node_start liar
check_true "a node speaks in its own name only" until_true 5 gone "$(cat "$DIR/liar.pid")" # Its own program says no.
check_true "the log says why" grep -q "must be node.name" "$DIR/liar.log"

section "an allowed key that speaks as another node"
number() { ctl node list | jq -r "select(.name == \"$1\").node"; }
endpoint=$(ctl node list | jq -r 'select(.name == "core").endpoints | split(" ")[0]')
impostor() { tests/lib/impostor.py "$1" "$2" "$DIR/curve/$3" "$DIR/curve/shop_secret" "${@:4}"; }
rush impostor 50 --rush-ms 3000
impostor link "$endpoint" core "$(number edge)" "$(number core)"
check "the link refuses the frame and counts it" 1 "$(node_figure core link_impostor_total)"
check_true "the log says whose key it was" grep -q 'key speaks as another node.*owner=edge key_of=shop' "$DIR/core.log"
run=$(sql "SELECT split_part(holder, ' ', 2) FROM worker_lease WHERE holder LIKE 'edge %' ORDER BY until DESC LIMIT 1")
impostor bye "$(sed -n 's/^broker\.endpoint=//p' "$DIR/edge.args" | tail -n 1)" broker "$run"
check "nobody says that another node ends" 1 "$(node_figure broker directory_refused_total)"
check "it has not ended" 1 "$(grep -c 'event=joined node_name=edge' "$DIR/broker.log")"
aftermath 3000
check "no message was lost between nodes" 0 "$(($(node_figure edge link_gap_total) + $(node_figure core link_gap_total)))"
check "as itself nobody is refused" 1 "$(($(node_figure edge link_impostor_total) + $(node_figure core link_impostor_total) + $(node_figure shop link_impostor_total)))"

run_with() { timeout 5 "$BUILD/doorbuster" serve --config "$CONFIG" --actors edge "$@" >"$DIR/bad.log" 2>&1; echo $?; }
check "tcp without keys is refused" 1 "$(run_with --set broker.endpoint=tcp://127.0.0.1:1 --set node.name=x)"
check_true "with a sentence" grep -q "tcp needs CURVE" "$DIR/bad.log"
printf 'metadata\n    name = "x"\ncurve\n    public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"\n    secret-key = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%%wOTJ%%JR%%cs"\n' >"$DIR/other/x_secret"
chmod 600 "$DIR/other/x_secret"
check "a published key is refused" 1 \
    "$(run_with --set broker.endpoint=tcp://127.0.0.1:1 --set node.name=x --set curve.file="$DIR/other/x")"
check_true "with a sentence" grep -q "test key printed" "$DIR/bad.log"
