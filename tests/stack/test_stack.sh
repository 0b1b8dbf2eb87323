#!/bin/bash
# tools/stack: what it promises, tried on real stores.  The last line says "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 1
stack=$PWD/tools/stack
work=$(mktemp -d /tmp/doorbuster-test-XXXXXX)
chmod 755 "$work"
passed=0 failed=0
cleanup() {
    for dir in "${dirs[@]}"; do "$stack" wipe "$dir" >/dev/null 2>&1; done
    rm -rf "$work"
}
dirs=()
trap cleanup EXIT

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

# The processes whose command line or folder names this test's work folder: none may be left.
processes() { # PATH…
    local path
    for path; do
        grep -alsF -e "$path" /proc/[0-9]*/cmdline | cut -d/ -f3
        find /proc/[0-9]*/cwd -maxdepth 0 -lname "*$path*" 2>/dev/null | cut -d/ -f3
    done | sort -u | while read -r pid; do
        [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ] || ps_line "$pid"
    done
}
ps_line() { # PID: unless it is gone, or one of the helpers that look for it
    local line
    line=$(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") || return 0
    case $line in '' | grep* | find* | *test_stack.sh*) ;; *) echo "$1: $line" ;; esac
}
nothing_left() { [ -z "$(processes "$@")" ] || { processes "$@" && false; }; }
ping_both() { # DIR
    (
        eval "$("$stack" env "$1")"
        [ "$(psql -X -At -c 'select current_user, current_database()')" = 'doorbuster|doorbuster' ] &&
            [ "$(redis-cli -s "$REDIS_SOCKET" ping)" = PONG ]
    )
}
redis() { "$stack" redis "$@"; }
sql() { # DIR SQL
    "$stack" psql "$1" -At -c "$2"
}
milliseconds() { # COMMAND…
    local before=${EPOCHREALTIME/./}
    "$@" >/dev/null 2>&1
    echo $(((${EPOCHREALTIME/./} - before) / 1000))
}

two_side_by_side() {
    local a=$work/a b=$work/b
    dirs+=("$a" "$b")
    check "a fresh start takes less than 6 s" [ "$(milliseconds "$stack" start "$a")" -lt 6000 ]
    check "a second stack starts beside it" "$stack" start "$b" --fast
    check "the first answers" ping_both "$a"
    check "the second answers" ping_both "$b"
    check "status says so" "$stack" status "$a" >/dev/null
    check "starting again is harmless" "$stack" start "$a"
    redis "$a" set where a >/dev/null
    check "they do not share Redis" [ -z "$(redis "$b" get where)" ]
    sql "$a" 'create table t (x int); insert into t values (1)' >/dev/null
    check "they do not share PostgreSQL" not sql "$b" 'select x from t' 2>/dev/null
    check "checksums are on" [ "$(sql "$a" 'show data_checksums')" = on ]
    check "the collation is C.UTF-8" [ "$(sql "$a" 'show lc_collate')" = C.UTF-8 ]
    check "commits wait for the disk" [ "$(sql "$a" 'show fsync')" = on ]
    check "PostgreSQL listens nowhere else" [ -z "$(sql "$a" 'show listen_addresses')" ]
    check "Redis listens nowhere else" [ "$(redis "$a" config get port | tail -1)" = 0 ]
    check "Redis refuses writes when full" \
        [ "$(redis "$a" config get maxmemory-policy | tail -1)" = noeviction ]
    check "Redis journals every second" [ "$(redis "$a" config get appendfsync | tail -1)" = everysec ]
    check "Redis writes the time into its journal" \
        [ "$(redis "$a" config get aof-timestamp-enabled | tail -1)" = yes ]
    check "the sockets' folder is private" [ "$(stat -c %a "$a/run/")" = 700 ]

    check "warm-wal" "$stack" warm-wal "$a" 4
    check "files of the log are there before they are needed" \
        [ "$(sql "$a" "select count(*) from pg_ls_waldir() where name > pg_walfile_name(pg_current_wal_lsn())")" -ge 4 ]
    check "warm-wal wants a number" not "$stack" warm-wal "$a" x 2>/dev/null

    check "stop" "$stack" stop "$a"
    check "stop again" "$stack" stop "$a"
    check "nothing of it is left running" nothing_left "$a"
    check "status says so" not "$stack" status "$a" >/dev/null
    check "the other one still answers" ping_both "$b"
    check "a restart takes less than 1.5 s" [ "$(milliseconds "$stack" start "$a")" -lt 1500 ]
    check "PostgreSQL kept its rows" [ "$(sql "$a" 'select x from t')" = 1 ]
    check "Redis kept its keys" [ "$(redis "$a" get where)" = a ]
    check "wipe" "$stack" wipe "$a"
    check "wipe removes the folder" not [ -e "$a" ]
    check "wipe of nothing is harmless" "$stack" wipe "$a"
    check "stop of nothing is harmless" "$stack" stop "$a"
    check "nothing is left running" nothing_left "$a"
}

faults() {
    local a=$work/faults
    dirs+=("$a")
    "$stack" start "$a" --fast || { check "start" false && return; }
    redis "$a" set early 1 >/dev/null
    sleep 3.1
    redis "$a" set late 1 >/dev/null
    check "truncate-aof refuses while Redis runs" not "$stack" truncate-aof "$a" 2 2>/dev/null
    check "kill-redis" "$stack" kill-redis "$a"
    check "Redis is gone" not redis "$a" ping >/dev/null 2>&1
    check "PostgreSQL is not" [ "$(sql "$a" 'select 1')" = 1 ]
    check "truncate-aof" "$stack" truncate-aof "$a" 2 >/dev/null
    check "start-redis" "$stack" start-redis "$a"
    check "what is older was kept" [ "$(redis "$a" get early)" = 1 ]
    check "what is younger was cut" [ -z "$(redis "$a" get late)" ]
    check "restart-redis" "$stack" restart-redis "$a"
    check "restart-redis keeps everything" [ "$(redis "$a" get early)" = 1 ]
    "$stack" kill-redis "$a"
    check "truncate-aof of everything" "$stack" truncate-aof "$a" 1000 >/dev/null
    "$stack" start-redis "$a"
    check "an emptied journal loads" [ "$(redis "$a" dbsize)" = 0 ]

    sql "$a" 'create table t (x int); insert into t values (1)' >/dev/null
    check "stop-pg immediate" "$stack" stop-pg "$a" immediate
    check "PostgreSQL is gone" not sql "$a" 'select 1' >/dev/null 2>&1
    check "Redis is not" [ "$(redis "$a" ping)" = PONG ]
    check "start-pg after a hard stop" "$stack" start-pg "$a"
    check "the commit survived" [ "$(sql "$a" 'select x from t')" = 1 ]
    check "kill-pg" "$stack" kill-pg "$a"
    check "start-pg after a kill" "$stack" start-pg "$a"
    check "the commit survived that too" [ "$(sql "$a" 'select x from t')" = 1 ]

    # A process that got the number of a dead store is not ours.
    "$stack" stop "$a"
    sleep 60 &
    local stranger=$!
    echo "$stranger 1 boot" >"$a/data/redis.id"
    echo "$stranger" >"$a/data/pg/postmaster.pid"
    "$stack" stop "$a" && "$stack" kill-redis "$a"
    check "a stranger's process is never signalled" kill -0 "$stranger"
    check "a stale pid file does not keep PostgreSQL from starting" "$stack" start "$a"
    check "and is not signalled then either" kill -0 "$stranger"
    kill "$stranger"
    "$stack" wipe "$a"
    check "nothing is left running" nothing_left "$a"
}

failed_starts() {
    local a=$work/failing bin=$work/bin program
    dirs+=("$a")
    mkdir -p "$bin"
    for program in redis-server redis-cli; do
        ln -sf -t "$bin" /usr/bin/* /bin/* /usr/sbin/* /sbin/*
        rm -rf "${bin:?}/$program" "$a"
        check "no start without $program" not env PATH="$bin" "$stack" start "$a" 2>/dev/null
        check "nothing is left running without $program" nothing_left "$a"
    done
    rm -rf "$a"
    # PostgreSQL fails after Redis has started.
    "$stack" start "$a" --fast && "$stack" stop "$a"
    echo 'no_such_setting = 1' >>"$a/data/pg/postgresql.conf"
    check "no start with a broken configuration" not "$stack" start "$a" 2>/dev/null
    check "Redis was stopped again" nothing_left "$a"
    "$stack" wipe "$a"
    touch "$work/file"
    check "no start in something that is no folder" not "$stack" start "$work/file" 2>/dev/null
    check "nothing is left running" nothing_left "$work/file"
    # Interrupted in the middle.
    "$stack" start "$a" --fast &
    local starter=$!
    sleep 0.7
    kill -TERM "$starter" 2>/dev/null && wait "$starter"
    if "$stack" status "$a" >/dev/null 2>&1; then
        "$stack" stop "$a" # It was faster than the signal.
    fi
    check "an interrupted start leaves nothing" nothing_left "$a"
    check "and can be repeated" "$stack" start "$a" --fast
    "$stack" wipe "$a"
}

places() {
    local deep=$work a part
    for part in 1 2 3 4; do deep=$deep/a-folder-whose-name-goes-on-and-on-$part; done
    dirs+=("$deep")
    check "start in a deep folder" "$stack" start "$deep" --fast
    check "it answers" ping_both "$deep"
    check "a socket's path is short enough" \
        [ "$("$stack" env "$deep" | sed -n 's/.*REDIS_SOCKET=//p' | wc -c)" -le 107 ]
    local elsewhere
    elsewhere=$(readlink -f "$deep/run")
    "$stack" wipe "$deep"
    check "nothing is left running" nothing_left "$deep" "$elsewhere"
    check "nor any folder" not [ -e "$elsewhere" ]

    a="$work/with a space and 'quotes'"
    dirs+=("$a")
    check "start in a folder with an odd name" "$stack" start "$a" --fast
    check "it answers" ping_both "$a"
    "$stack" wipe "$a"

    [ "$(id -u)" = 0 ] || return 0
    local closed=$work/closed
    mkdir -m 700 "$closed"
    a=$closed/stack
    dirs+=("$a")
    check "start in a folder only root can enter" "$stack" start "$a" --fast
    check "it answers" ping_both "$a"
    check "kill-redis finds it" "$stack" kill-redis "$a"
    check "start-redis finds it" "$stack" start-redis "$a"
    elsewhere=$(readlink -f "$a/data")
    check "it does not run as root" [ "$(stat -c %U "$elsewhere/pg/")" != root ]
    check "stop finds it" "$stack" stop "$a"
    check "nothing is left running" nothing_left "$a" "$elsewhere"
    "$stack" start "$a"
    check "the same data is found again" ping_both "$a"
    "$stack" wipe "$a"
    check "wipe removes the data elsewhere" not [ -e "$elsewhere" ]
    check "nothing is left running after wipe" nothing_left "$a" "$elsewhere"

    # Without root: the same commands as an unprivileged user, with a copy he can read.
    a=$work/nobody
    install -d -o nobody "$a"
    install -m 755 "$stack" "$work/stack"
    local as=(setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups --)
    check "start as nobody" "${as[@]}" "$work/stack" start "$a/s" --fast
    check "status as nobody" "${as[@]}" "$work/stack" status "$a/s" >/dev/null
    check "it runs as nobody" [ "$(stat -c %U "$a/s/data/pg/")" = nobody ]
    check "stop as nobody" "${as[@]}" "$work/stack" stop "$a/s"
    check "nothing is left running" nothing_left "$a"
    "${as[@]}" "$work/stack" wipe "$a/s"
}

run_commands() {
    local a=$work/run
    dirs+=("$a")
    check "run hands over the environment" "$stack" run "$a" --fast -- \
        sh -c 'test "$STACK" = "$0" && psql -XAtqc "select 1" >/dev/null && redis-cli -s "$REDIS_SOCKET" ping' \
        "$a" >/dev/null
    check "run keeps the data" [ -d "$a/data" ]
    check "run stops the stores" nothing_left "$a"
    "$stack" run --fast --wipe "$a" -- sh -c 'exit 7'
    check "run exits as the command did" [ $? = 7 ]
    check "run --wipe removes the data" not [ -e "$a" ]
    "$stack" run --fast --wipe "$a" -- sleep 60 &
    local runner=$! tries=200
    until [ -e "$a/data/pg.id" ] && [ -e "$a/data/redis.id" ] || [ $((tries -= 1)) = 0 ]; do sleep 0.05; done
    sleep 0.3
    kill -TERM "$runner"
    wait "$runner"
    check "a run that is ended stops everything" nothing_left "$a"
    check "and wipes" not [ -e "$a" ]
}

two_side_by_side
faults
failed_starts
places
run_commands
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
