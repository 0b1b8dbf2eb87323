#!/bin/bash
# Old and new programs in one sale: an edge that speaks the oldest protocol between nodes with a core
# that speaks the newest, then the other way round; each is replaced by the new program in mid-sale.
# Then a broker of a program that no longer speaks the oldest protocol: an old node that comes is
# refused with the reason, one that is in is told so, too, and gets no place on the map.
# The old and the later program are this one but for schema/protocol.h; what includes it is compiled
# anew and linked before the rest.  MUTANT_CC, MUTANT_FLAGS, MUTANT_LIBS: as the build was made.
# shellcheck disable=SC2034 # e2e.sh reads what is set here.
e2e_nodes="edge=edge core=shard shop=shop"
e2e_sets=(order.batch_max=64)
build_program() { # NAME FLAG
    local sources
    mapfile -t sources < <(grep -lE '(PROTOCOL_OLDEST|PROTOCOL_NEWEST)' actors/*/*.c broker/*.c broker/*/*.c)
    [ ${#sources[@]} -ge 3 ] || { echo "nothing uses the versions" && exit 1; }
    # shellcheck disable=SC2086 # Lists of words.
    ${MUTANT_CC:-gcc} ${MUTANT_FLAGS:--O1 -g -std=c11 -pthread -D_GNU_SOURCE -I.} "$2" \
        -o "$e2e_dir/$1" "${sources[@]}" "$BUILD"/broker/main/*.o "$BUILD/libdoorbuster.a" \
        ${MUTANT_LIBS:-$(pkg-config --libs libzmq libczmq hiredis libpq msgpack libevent \
            libevent_pthreads jansson libsodium libcurl libsystemd lua5.1) -lm -pthread} || exit 1
}
e2e_before() {
    build_program old -DPROTOCOL_NEWEST=1
    build_program later -DPROTOCOL_OLDEST=2
}
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh
. tests/lib/crash.sh

speaks() { [ "$(ctl node list | jq -r "select(.name == \"$1\").protocol")" = "$2" ]; } # NODE PROTOCOL

seed 1300

for name in edge core; do
    section "an old $name, replaced in the middle of a sale"
    node_stop "$name"
    node_start "$name" "$DIR/old"
    check_true "it works with new ones" until_true 20 node_ready "$name"
    check_true "it speaks the old protocol" until_true 10 speaks "$name" 1
    rush "$name" 100 --rush-ms 4000
    check_true "stopped" node_stop "$name"
    node_start "$name"
    check_true "the new program is ready" until_true 20 node_ready "$name"
    check_true "it speaks the new one" until_true 10 speaks "$name" 2
    aftermath 5000
done
check "no frame was refused for its version" 0 "$(($(node_figure edge link_version_refused_total) + $(node_figure core link_version_refused_total)))"

section "a broker that no longer speaks the old protocol"
node_stop edge
node_start edge "$DIR/old"
check_true "an old edge is in" until_true 20 node_ready edge
check_true "on the map" until_true 10 speaks edge 1
node_stop broker
node_start broker "$DIR/later"
refused() { grep -q 'event=refused node_name=edge detail="its program is too old: it speaks protocols 1 to 1, we 2 to 2"' "$DIR/broker.log"; }
check_true "it says who is too old" until_true 15 refused
check_true "so does the node" grep -q 'the broker refuses this node" why="its program is too old' "$DIR/edge.log"
newer() { [ "$(ctl node list | jq -r .name | sort | paste -sd' ')" = "broker core shop" ]; }
check_true "the new ones are in" until_true 15 newer
node_stop edge
node_start edge "$DIR/old"
check_true "one that starts ends" until_true 15 gone "$(cat "$DIR/edge.pid")"
check_true "its log says why" grep -q 'too old: it speaks protocols 1 to 1' <<<"$(tail -n 3 "$DIR/edge.log")"
node_start edge
check_true "the new program comes in" until_true 20 node_ready edge
rush end 100 --rush-ms 2000
aftermath 5000
