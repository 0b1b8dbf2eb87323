#!/bin/bash
# An unmodified client in another language at the operators' door: npm's zeromq and
# @msgpack/msgpack, by docs/protocol.md alone.  Let in with a valid key, refused with another, without
# CURVE, and with garbage.  The packages come from the registry that npm is configured for; where it
# cannot be reached the test says so and is skipped.
# shellcheck source=tests/lib/e2e.sh
. tests/lib/e2e.sh

cp -r tests/e2e/npm "$DIR/npm" && rm -rf "$DIR/npm/node_modules"
# The programs for this machine lie inside of the package: its install script has nothing to do.
if ! (cd "$DIR/npm" && npm ci --ignore-scripts --no-audit --no-fund) >"$DIR/npm.log" 2>&1; then
    if grep -qE 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH' "$DIR/npm.log"; then
        echo "skipped: the npm registry cannot be reached"
        check "nothing else to do" yes yes
        exit
    fi
    die "npm ci failed: $(tail -n 5 "$DIR/npm.log")"
fi
client() { # KEY WHAT [WORD]
    (cd "$DIR/npm" && node client.mjs "ipc://$door" "$keys/door.key" "$@") 2>"$DIR/npm.said"
}
door=$(realpath -s "$DOOR") keys=$(realpath "$DIR")

section "a valid key"
make_sale 3
check "it lists the sales" "sale_view $sale" "$(client "$keys/operators/admin" sales | head -n 1 | cut -d' ' -f1,2)"
check "up to the end" rows_end "$(client "$keys/operators/admin" sales | tail -n 1 | cut -d' ' -f1)"
check "it pauses one" "sale_view $sale" "$(client "$keys/operators/admin" pause "$sale" | cut -d' ' -f1,2)"
check "which is so for everybody" paused "$(ctl sale show "$sale" | jq -r 'select(.opens_at) | .state')"
check "and in the record" "sale pause" "$(ctl audit --limit 2 | head -n 1 | jq -r .command)"
"$BUILD/doorbuster" keys --curve vera --role viewer --dir "$DIR/operators" >/dev/null
check "a viewer is told that he may not (1207)" "failed 1207" "$(client "$keys/operators/vera" pause "$sale")"
check "garbage is refused, each time" "refused 100" "$(client "$keys/operators/admin" garbage)"

section "another key, or none"
"$BUILD/doorbuster" keys --curve eve --role admin --dir "$DIR/strangers" >/dev/null
check "an unknown key hears nothing" "no answer" "$(client "$keys/strangers/eve" sales)"
check "a client without CURVE hears nothing" "no answer" "$(client "" sales)"
check_true "the unknown key was counted" test "$(ctl status |
    jq -r 'select(.name == "doorbuster_curve_refused_total{domain=\"door\"}") | .value')" -gt 0
