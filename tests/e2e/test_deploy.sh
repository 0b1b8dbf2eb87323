#!/bin/bash
# The files of deploy/, each tried as far as this machine allows: systemd reads the units, promtool
# the rules, every metric that a rule or the dashboard names exists, and the walk goes through nginx
# and HAProxy with TLS, which let no smuggled request through.
e2e_sets=(http.rate_user=0)
cd "$(dirname "$0")/../.." || exit 1
. tests/lib/e2e.sh
edge=$BASE

# ---- systemd --------------------------------------------------------------------------------------
section "systemd units"
# The program is not installed where they look for it.
units() {
    mkdir -p "$DIR/units" && for unit in deploy/systemd/*.{service,target}; do
        sed "s|/usr/local/bin/doorbuster |$(realpath "$BUILD")/doorbuster |" "$unit" >"$DIR/units/${unit##*/}"
    done
    mv "$DIR/units/doorbuster-node@.service" "$DIR/units/doorbuster-node@edge.service"
    cp -r deploy/systemd/doorbuster-*.d "$DIR/units/"
}
units
# Exposure at most 2.0 of 10.
closed() { systemd-analyze security --offline=true --threshold=20 --no-pager "$1" >/dev/null 2>&1; }
if command -v systemd-analyze >/dev/null; then
    for unit in doorbuster.service doorbuster-broker.service doorbuster-node@edge.service doorbuster.target; do
        systemd-analyze verify --man=no "$DIR/units/$unit" >"$DIR/verify" 2>&1
        # Other units of the machine may be wrong; ours must not be named.
        check "$unit: systemd has no complaint" '' "$(grep -F "${unit%%[@.]*}" "$DIR/verify")"
    done
    for unit in doorbuster.service doorbuster-broker.service doorbuster-node@edge.service; do
        check_true "$unit is closed" closed "$DIR/units/$unit"
    done
    # Notice when the check itself sees nothing.
    sed '/^SystemCallFilter=\|^Protect/d' "$DIR/units/doorbuster.service" >"$DIR/units/open.service"
    check "an open unit is seen" open "$(closed "$DIR/units/open.service" || echo open)"
    sed 's/^Restart=/Restrat=/' "$DIR/units/doorbuster.service" >"$DIR/units/wrong.service"
    check_true "and a wrong one" bash -c "systemd-analyze verify --man=no '$DIR/units/wrong.service' 2>&1 | grep -q Restrat"
else
    echo "no systemd-analyze here: the units are not checked"
fi

# ---- Prometheus -----------------------------------------------------------------------------------
section "rules and dashboard"
check_true "rules" promtool check rules deploy/prometheus/alerts.yml
check_true "their tests" promtool test rules deploy/prometheus/alerts_test.yml
check_true "configuration" promtool check config deploy/prometheus/prometheus.yml
check_true "every rule says what to do" bash -c \
    '[ "$(grep -c "^ *- alert:" deploy/prometheus/alerts.yml)" = "$(grep -c "^ *action: " deploy/prometheus/alerts.yml)" ]'
check_true "the dashboard is JSON" jq -e '.panels | length > 20' deploy/prometheus/dashboard.json

make_sale 30 2 15m
register first@example.org
get_ticket "$lot"
buy
check "an order, so that every series is there" 201 "$status"
curl -s "$edge/metrics" >"$DIR/metrics"
# What only a system of several processes counts, of which a broker is one.
broker_port=$(e2e_free_port)
"$BUILD/doorbuster" broker --config "$CONFIG" --set "broker.endpoint=ipc://$DIR/broker.sock" \
    --set "node.listen=ipc://$DIR/links" --set "door.endpoint=ipc://$DIR/broker-door.sock" \
    --set "admin.listen=127.0.0.1:$broker_port" >"$DIR/broker.log" 2>&1 &
broker=$!
mine+=("$broker")
node_metrics() { curl -sf -m 2 "http://127.0.0.1:$broker_port/metrics" >"$DIR/metrics-node"; }
check_true "a broker shows its metrics" until_true 10 node_metrics
kill -s TERM "$broker"
{
    jq -r '.. | .expr? // empty' deploy/prometheus/dashboard.json
    sed -n '/expr:/,/for:\|labels:/p' deploy/prometheus/alerts.yml
} | grep -oE '\b(doorbuster|process)_[a-z0-9_]+' | sort -u >"$DIR/named"
check_true "many are named" test "$(wc -l <"$DIR/named")" -ge 35
check "and each exists" '' "$(while read -r name; do
    grep -qh "^$name[{ ]" "$DIR/metrics" "$DIR/metrics-node" || echo "$name"
done <"$DIR/named")"

check "docs/operations.md explains every metric" '' "$(sed -n 's/^# TYPE \(doorbuster_\)\{0,1\}\([a-z_]*\) .*/\2/p' "$DIR/metrics" "$DIR/metrics-node" | sort -u | while read -r name; do
    grep -qw "$name" docs/operations.md || echo "$name"
done)"

# ---- Proxies --------------------------------------------------------------------------------------
mkdir -p "$DIR/tls" && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$DIR/tls/key.pem" -out "$DIR/tls/cert.pem" 2>/dev/null
cat "$DIR/tls/cert.pem" "$DIR/tls/key.pem" >"$DIR/tls/both.pem"
server_port=${edge##*:}
here=$(realpath "$DIR")

nginx_conf() { # PORT
    cat <<END
worker_processes 1;
daemon off;
pid $here/nginx.pid;
error_log $here/nginx.log warn;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path $here/nginx-tmp; proxy_temp_path $here/nginx-tmp; fastcgi_temp_path $here/nginx-tmp;
    uwsgi_temp_path $here/nginx-tmp; scgi_temp_path $here/nginx-tmp;
    include $here/nginx-site.conf;
}
END
    sed "s|127.0.0.1:8080|127.0.0.1:$server_port|; /127.0.0.1:8081/d; s|/etc/doorbuster/tls|$here/tls|
         s|listen 443 |listen 127.0.0.1:$1 |" deploy/nginx/doorbuster.conf >"$DIR/nginx-site.conf"
}
haproxy_conf() { # PORT
    sed "s|127.0.0.1:8080|127.0.0.1:$server_port|; /127.0.0.1:8081/d; s|/etc/doorbuster/tls|$here/tls|
         s|bind :443 |bind 127.0.0.1:$1 |; s|maxconn 50000|maxconn 500|" deploy/haproxy/haproxy.cfg
}
answers() { [ "$(curl -sk -m 2 -o /dev/null -w '%{http_code}' "https://127.0.0.1:$1/v1/sales")" = 200 ]; }
seen() { # MESSAGE: how often the edge was asked for it
    curl -s "$edge/metrics" | awk -v n="doorbuster_http_request_seconds_count{message=\"$1\"}" '$1 == n { s = $2 } END { print s + 0 }'
}

walk_through() { # NAME PORT
    BASE=https://127.0.0.1:$2
    section "$1"
    check_true "it answers" until_true 10 answers "$2"
    export CURL_HOME=$DIR # Its certificate is one of ours.
    echo insecure >"$DIR/.curlrc"
    register "$1@example.org"
    check "register and log in" 201 "$status"
    get_ticket "$lot"
    check "ticket" 201 "$status"
    buy
    check "order" 201 "$status"
    check "TLS only from now on" max-age=31536000 "$(header Strict-Transport-Security)"
    buy
    check "the same again" "201 true" "$status $replayed"
    order_state >/dev/null
    check "the order" "200 awaiting_payment" "$status $(of .state)"
    open_payment
    check "payment" 201 "$status"
    api GET "/v1/sales/$sale"
    etag=$(header ETag)
    api GET "/v1/sales/$sale" '' '' -H "If-None-Match: $etag"
    check "a page that has not changed" "304 " "$status $body"
    api GET /v1/sales '' '' --http2
    check "HTTP/2" 200 "$status"
    for path in metrics healthz readyz; do
        check "/$path is not for everybody" 404 "$(curl -s -o /dev/null -w '%{http_code}' "$BASE/$path")"
    done
    big=$(head -c 40000 /dev/zero | tr '\0' x)
    api POST /v1/accounts '' "{\"login\":\"$big\",\"password\":\"correct horse\"}"
    check "a body that is too large" 413 "$status"

    # What may come of them: refused, or exactly one request, never the hidden one.
    python3 tests/lib/smuggle.py "$2" >"$DIR/smuggled.cases" || die "could not ask"
    while read -r name answers; do
        check_true "$name: $answers" test "$answers" != '-'
    done <"$DIR/smuggled.cases"
    check_true "there were several" test "$(wc -l <"$DIR/smuggled.cases")" -ge 10
    cp "$DIR/smuggled.cases" "$DIR/$1.cases"
    check "no hidden request has come through" 0 "$(($(seen order_list) - hidden))"
    check_true "the edge is well" curl -sf -o /dev/null "$edge/readyz"
    BASE=$edge
}

api GET /v1/orders ''
check_true "a hidden request would be seen" test "$(seen order_list)" = 1
hidden=$(seen order_list)
port=$(e2e_free_port)
nginx_conf "$port" >"$DIR/nginx.conf"
nginx -p "$here" -c "$here/nginx.conf" -e "$here/nginx.log" &
nginx=$!
mine+=("$nginx")
walk_through nginx "$port"
kill -s TERM "$nginx"

port=$(e2e_free_port)
haproxy_conf "$port" >"$DIR/haproxy.cfg"
check_true "HAProxy takes its configuration" haproxy -c -f "$DIR/haproxy.cfg"
haproxy -db -f "$DIR/haproxy.cfg" >"$DIR/haproxy.log" 2>&1 &
mine+=($!)
walk_through haproxy "$port"

# ---- Stores, container ----------------------------------------------------------------------------
section "stores"
check_true "PostgreSQL knows every setting" bash -c "
    sed -n 's/^\([a-z_]*\) = .*/\1/p' deploy/stores/postgresql.conf | while read -r name; do
        [ \"\$(psql -XqAt -c \"SELECT count(*) FROM pg_settings WHERE name = '\$name'\")\" = 1 ] || { echo \$name; exit 1; }
    done"
check_true "Redis knows every setting" bash -c "
    sed -n 's/^\([a-z][a-z-]*\) .*/\1/p' deploy/stores/redis.conf | while read -r name; do
        [ -n \"\$(redis-cli -s '$REDIS_SOCKET' config get \$name)\" ] || { echo \$name; exit 1; }
    done"
check_true "the kernel knows every key" bash -c "
    sed -n 's/^\([a-z0-9_.]*\) = .*/\1/p' deploy/sysctl.conf | while read -r name; do
        case \$name in net.*) continue ;; esac # A namespace may hide these.
        [ -e /proc/sys/\${name//.//} ] || { echo \$name; exit 1; }
    done"
section "container"
# Its health check, as it stands there, with this server's port.
health=$(sed -n '/^HEALTHCHECK/,/\]$/p' deploy/container/Containerfile | sed -n 's/^ *\("exec .*"\)\]$/\1/p' | jq -r . | sed "s/9101/$server_port/")
check_true "the health check sees a server" bash -c "$health"
check "and that there is none" no "$(bash -c "${health/$server_port/1}" 2>/dev/null && echo yes || echo no)"
# Its packages to build with are those of tools/deps.
check "what it installs to build is in tools/deps" '' "$(sed -n '/AS build/,/rm -rf/p' deploy/container/Containerfile |
    grep -oE '\b(make|gcc|pkg-config|python3|[a-z0-9.-]+-dev)\b' | sort -u | grep -vxF -f <(tools/deps --list | awk '{ print $1 }'))"
# What it installs to run is what the program is linked with.
check "what it installs to run is what the program needs" '' "$(ldd "$BUILD/doorbuster" "$BUILD/doorctl" |
    awk '/=>/ { print $1 }' | grep -E '^lib(zmq|czmq|msgpackc|event|hiredis|pq|jansson|sodium|curl|systemd)' | sort -u |
    while read -r name; do
        package=$(dpkg -S "*/$name" 2>/dev/null | head -n 1 | cut -d: -f1)
        [ -z "$package" ] || grep -q "\\b$package\\b" deploy/container/Containerfile || echo "$package"
    done)"
