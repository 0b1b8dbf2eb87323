#!/bin/bash
# The scripts the build relies on: attempt, summary, embed, tidy.  Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
tools=$PWD/tools
work=$(mktemp -d /tmp/doorbuster-test-XXXXXX)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
check() { # NAME COMMAND…
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
}
not() { ! "$@"; }
result() { cat "$work/log/$1.result"; }
attempt() { "$tools/attempt" "$work" "$@" >"$work/out"; }

attempts() {
    check "a command that succeeds is one pass" attempt t true
    check "and counted" [ "$(result t)" = "1 0" ]
    check "one that fails is not" not attempt t false
    check "and counted" [ "$(result t)" = "0 1" ]
    check "cmocka's passes are counted" attempt t echo '[  PASSED  ] 7 test(s).'
    check "all of them" [ "$(result t)" = "7 0" ]
    check "cmocka's failures are counted" not attempt t sh -c \
        'echo "[  PASSED  ] 7 test(s)."; echo "[  FAILED  ] 2 test(s), listed below:"; exit 2'
    check "both of them" [ "$(result t)" = "7 2" ]
    check "a crash after the last test is a failure" not attempt t sh -c \
        'echo "[  PASSED  ] 7 test(s)."; kill -SEGV $$'
    check "beside what passed" [ "$(result t)" = "7 1" ]
    check "a program without tests has not passed" not attempt t echo '[  PASSED  ] 0 test(s).'
    check "a script's own total is taken" attempt t echo '12 passed, 0 failed'
    check "as it says" [ "$(result t)" = "12 0" ]
    check "also when it lies by its exit status" not attempt t echo '12 passed, 1 failed'
    check "the output of a failure is shown" grep -q '12 passed, 1 failed' "$work/out"
    check "a test that was skipped is no failure" attempt t echo 'skipped: no wind'
    check "and no pass" [ "$(result t)" = "0 0 skipped: no wind" ]
    check "it is said" grep -q '^skip .* 0 passed' "$work/out"
    check "who fails was not skipped" not attempt t sh -c 'echo "skipped: no wind"; exit 1'
    check "a test that hangs is ended" not env TEST_TIMEOUT=1 "$tools/attempt" "$work" t sleep 20 >/dev/null

    attempt good echo '3 passed, 0 failed'
    check "a summary adds up" [ "$("$tools/summary" "$work" good good | tail -n 1)" = "6 passed, 0 failed" ]
    attempt calm echo 'skipped: no wind'
    check "what was skipped is named" grep -q '^skipped: calm, no wind$' <("$tools/summary" "$work" good calm)
    check "and adds nothing" [ "$("$tools/summary" "$work" good calm | tail -n 1)" = "3 passed, 0 failed" ]
    check "to have skipped all is no success" not "$tools/summary" "$work" calm >/dev/null
    check "a test that did not run has failed" not "$tools/summary" "$work" good none >/dev/null
    check "nothing at all is no success" not "$tools/summary" "$work" >/dev/null
}

# Where network namespaces are not permitted.
skips() {
    mkdir -p "$work/bin" && printf '#!/bin/sh\nexit 1\n' >"$work/bin/ip" && chmod +x "$work/bin/ip"
    check "a test that needs namespaces is skipped without" env PATH="$work/bin:$PATH" TEST_TIMEOUT=20 \
        "$tools/attempt" "$work" netns tests/e2e/test_netns.sh >/dev/null
    check "and says so" [ "$(result netns)" = "0 0 skipped: network namespaces are not permitted here" ]
}

embeds() {
    mkdir -p "$work/broker"
    cp broker/assets.h broker/assets.c "$work/broker/"
    # Every byte there is, twice; and an empty file.
    for i in $(seq 0 255) $(seq 0 255); do printf "\\x$(printf %x "$i")"; done >"$work/bytes"
    : >"$work/empty"
    printf 'one\ntwo -- guard: second\nthree -- guard: third\n' >"$work/guarded"
    cat >"$work/main.c" <<'END'
#include <stdio.h>
#include <string.h>
#include "broker/assets.h"
int main(int argc, char **argv) {
    const struct asset *asset = argc > 1 ? asset_find(argv[1]) : NULL;
    size_t count;
    if (asset == NULL || asset->data[asset->size] != 0) return 1;
    if (asset_find_prefix("", &count) != assets || count != assets_count) return 1;
    return fwrite(asset->data, 1, asset->size, stdout) != asset->size;
}
END
    (cd "$work" && "$tools/embed" bytes empty guarded >all.c &&
        "$tools/embed" --without second guarded >less.c &&
        gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -I. -o all main.c all.c broker/assets.c &&
        gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -I. -o less main.c less.c broker/assets.c)
    check "what is embedded compiles" [ $? = 0 ]
    check "every byte comes through" cmp -s "$work/bytes" <("$work/all" bytes)
    check "an empty file too" cmp -s "$work/empty" <("$work/all" empty)
    check "a guard stays unless told" cmp -s "$work/guarded" <("$work/all" guarded)
    check "and goes when told" [ "$("$work/less" guarded)" = "one
three -- guard: third" ]
    check "no such name" not "$work/all" nothing
    check "a file that is not there" not "$tools/embed" "$work/nothing" >/dev/null 2>&1
}

# A project of one file that holds one fault.
finds() { # PATH RULE TEXT…
    local path=$1 rule=$2
    shift 2
    rm -rf "$work/project"
    mkdir -p "$work/project/tools" "$work/project/$(dirname "$path")"
    cp "$tools/tidy" "$work/project/tools/"
    printf 'print-sources:\n\t@echo %s\n' "${COMPILED-$path}" >"$work/project/Makefile"
    printf '%b\n' "$@" >"$work/project/$path"
    if [ -z "$rule" ]; then
        "$work/project/tools/tidy" "$path" >"$work/out" || { cat "$work/out" && false; }
    else
        not "$work/project/tools/tidy" "$path" >"$work/out" && grep -qF -- "$rule" "$work/out"
    fi
}

tidies() {
    local long
    long=$(printf '%0101d' 0)
    check "a clean file" finds schema/a.c '' '#include "schema/a.h"' 'int a(void) {' '    return 1;' '}'
    check "a layer" finds schema/a.c 'a.c:1: layer schema' '#include "actors/a.h"'
    check "a layer" finds actors/a/a.c 'a.c:1: layer actors' '#include "broker/a.h"'
    check "a layer" finds broker/a.c 'layer broker' '#include "tools/a.h"'
    check "tests include anything" finds tests/unit/a.c '' '#include "broker/a.h"' '#include <cmocka.h>'
    check "a library's header" finds broker/http/a.c '<libpq-fe.h> belongs' '#include <libpq-fe.h>'
    check "a library's header" finds actors/a/a.c '<zmq.h> belongs' '#include <zmq.h>'
    check "where it may stand" finds broker/redis/a.c '' '#include <hiredis/hiredis.h>'
    check "a clock in a step" finds actors/a/a.c 'only steps belong' '#include <sys/time.h>'
    check "a banned call" finds broker/a.c 'a.c:2: strcpy()' 'void f(void) {' '    strcpy(a, b);' '}'
    check "a banned call" finds broker/a.c 'time():' 'void f(void) {' '    long t = time(NULL);' '}'
    check "its name within another" finds broker/a.c '' 'void f(void) {' '    uptime(a->time(1));' '}'
    check "its name in a comment" finds broker/a.c '' '/* Not strcpy(a, b). */' 'const char *s = "rand()";'
    check "allocation in a step" finds actors/a/a.c 'nothing is allocated' 'void f(void) {' '    free(a);' '}'
    check "allocation at the edge" finds broker/a.c '' 'void f(void) {' '    free(a);' '}'
    check "allocation for JSON" finds schema/json_read.c '' 'void f(void) {' '    free(a);' '}'
    check "a long line" finds broker/a.c 'line of 101 columns' "$long"
    check "a long function" finds broker/a.c 'a.c:1: function of 72 lines' \
        'int f(void) {' "$(printf '    f();\\n%.0s' $(seq 69))    f();" '}'
    check "a long table" finds broker/a.c '' \
        'static const int t[] = {' "$(printf '    1,\\n%.0s' $(seq 80))    1," '};'
    COMPILED='' check "a file nobody compiles" finds broker/a.c 'no variable of the Makefile' 'int a;'
    check "a path of one machine" finds docs/a.md 'a.md:1: a path' "see /wo""rk/main"
}

attempts
skips
embeds
tidies
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
