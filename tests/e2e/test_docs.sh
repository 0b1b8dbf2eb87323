#!/bin/bash
# The examples of docs/api.md and the walk of README.md, run as they stand there, against a shop
# with the demo sale.  A number behind an example's command ("# 201") is the status it must give.
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh

# The shell blocks of a page, as a reader would paste them, with this shop's addresses.
blocks() { # PAGE [LAST-BLOCK]
    awk -v last="${2:-1000}" '/^```sh$/ { on = ++n <= last; next } /^```$/ { on = 0 } on' "$1" |
        sed -e "s|http://127.0.0.1:8080|$BASE|" -e "s|http://127.0.0.1:8090|$PAYSIM_URL|" \
            -e "s|var/run-8080|$(realpath "$DIR")|"
}
# Runs them in a folder of their own; what curl was answered, one status a line, is in statuses.
run_blocks() { # NAME
    mkdir -p "$DIR/$1" && (
        cd "$DIR/$1" || exit 1
        statuses=$PWD/statuses
        : >"$statuses"
        curl() { command curl -w '%{stderr}%{http_code}\n' "$@" 2>>"$statuses"; }
        set -u
        . ../"$1.sh"
    ) >"$DIR/$1.out" 2>&1
}

section "README.md"
BUILD=$BUILD tools/demo-sale >"$DIR/demo-sale.json" 2>/dev/null
check_true "the demo sale" test -s "$DIR/demo-sale.json"
blocks README.md 1 >"$DIR/readme.sh"
check_true "the walk" run_blocks readme
check "ends paid" paid "$(tail -n 1 "$DIR/readme.out")"
check "with the same order twice" 1 "$(grep -c '^Idempotent-Replayed: true' "$DIR/readme.out")"

section "docs/api.md"
blocks docs/api.md >"$DIR/api.sh"
check_true "the examples" run_blocks api
sed -n 's/.*# \([0-9][0-9][0-9]\)$/\1/p' "$DIR/api.sh" >"$DIR/expected"
check_true "there are many" test "$(wc -l <"$DIR/expected")" -ge 25
check "each status as it says there" "$(tr '\n' ' ' <"$DIR/expected")" "$(tr '\n' ' ' <"$DIR/api/statuses")"
check "a payment by a callback made by hand" paid "$(grep -x paid "$DIR/api.out")"
[ "$failed" = 0 ] || cat "$DIR"/{readme,api}.out
while read -r path; do
    check_true "an example of $path" grep -q "^curl.*BASE$path\([ \"?]\|\$\)\|^  .*BASE$path " "$DIR/api.sh"
done < <(grep -v '^PLAIN(nothing' schema/routes.def |
    sed -n '/^\(ROUTE\|PLAIN\)(/s/^[^"]*"\([^"]*\)".*/\1/p' | sed 's/{[a-z_]*}/[^ ]*/g')
check_true "the tables are those of schema/" tools/api-tables --check docs/api.md

section "links"
for page in README.md CONTRIBUTING.md docs/*.md; do
    while read -r link; do
        check_true "$page: $link" test -e "$(dirname "$page")/${link%%#*}"
    done < <(grep -o '](\([^)]*\))' "$page" | sed 's/^](//; s/)$//' | grep -v '^http')
done
