#!/bin/bash
# Our edge, nginx and Caddy, in front of the same upstream, in one run: plain HTTP/1.1 with kept connections (wrk) and
# TLS with HTTP/2 (h2load), with 10 and with 10,000 domains. Rounds alternate between the proxies; medians are printed,
# with the processor time that each proxy took for a request, which other work on the machine disturbs less.
#
# Usage: tests/bench/edge/run.sh            (as root on Debian: installs what it needs from the distribution)
#        tests/bench/edge/run.sh table      every kind of work below, with HAProxy too, 10 domains
# ROUNDS=5 SECONDS_EACH=6 CONNECTIONS=64 PROXIES="edge nginx haproxy caddy" DOMAINS="10 10000" KINDS="h1 h2" change it. Kinds:
#   h1 h1-1m      HTTP/1.1 on kept connections, bodies of 1 KB and 1 MB      connect        HTTP/1.1, a connection for each request
#   h2 h2-1m      TLS and HTTP/2, 16 connections of 10 streams; 1 MB: 8 of 2 h2-many        HTTP/2, 4 connections of 100 streams
#   tls tls-again TLS 1.3 handshakes, full and resumed                      websocket      messages of 64 bytes there and back
#   kept          an answer that the proxy keeps (not Caddy)                idle           memory for 1,000 idle TLS connections
# BENCH=path takes a built example instead of building it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
if [[ ${1:-} == table ]]; then
    : "${PROXIES:=edge nginx haproxy caddy}" "${DOMAINS:=10}" "${ROUNDS:=3}" "${SECONDS_EACH:=4}"
    : "${KINDS:=h1 h1-1m connect h2 h2-1m h2-many tls tls-again websocket kept idle}"
fi
rounds=${ROUNDS:-5} each=${SECONDS_EACH:-6} connections=${CONNECTIONS:-64}
proxies=${PROXIES:-edge nginx caddy} counts=${DOMAINS:-10 10000} kinds=${KINDS:-h1 h2}
free_port() { local port; while port=$((20000 + RANDOM % 9000)); (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do :; done; echo $port; }
http=$(free_port) https=$(free_port) upstream=$(free_port) sockets=$(free_port)

need() { command -v "$1" >/dev/null || missing+=("$2"); }
missing=()
need nginx nginx-light; need wrk wrk; need h2load nghttp2-client; need openssl openssl; need curl curl
[[ $kinds == *websocket* || $kinds == *idle* || $kinds == *tls* ]] && need node nodejs
[[ $proxies == *caddy* ]] && need caddy caddy
[[ $proxies == *haproxy* ]] && need haproxy haproxy
if ((${#missing[@]})); then
    apt-get update -q >/dev/null
    # A package that starts its own server would take port 80.
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >/dev/null
fi

if [[ -z ${BENCH:-} && $proxies == *edge* ]]; then
    (cd "$root" && cargo build --release -q -p serverkit-edge --example bench)
    BENCH=${CARGO_TARGET_DIR:-$root/target}/release/examples/bench
fi

folder=$(mktemp -d /tmp/edge-bench-XXXXXX)
pids=()
finish() { for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$folder"; }
trap finish EXIT
ulimit -n 65536 2>/dev/null || true

mkdir "$folder/www"; chmod 755 "$folder" "$folder/www"
head -c 768 /dev/urandom | base64 -w 0 | head -c 1024 > "$folder/www/index.html"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=h5.test \
    -addext subjectAltName=DNS:h5.test -keyout "$folder/key.pem" -out "$folder/cert.pem" 2>/dev/null
chmod 644 "$folder/key.pem"
head -c 1048576 /dev/urandom > "$folder/www/large"
cat "$folder/cert.pem" "$folder/key.pem" > "$folder/both.pem"
if [[ $kinds == *websocket* ]]; then node "$here/clients.mjs" echo $sockets & pids+=($!); fi

fill() { sed -e "s|@FOLDER@|$folder|g; s|@PORT@|$upstream|g; s|@UPSTREAM@|$upstream|g" "$1"; }
fill "$here/upstream.conf" > "$folder/upstream.conf"
nginx -c "$folder/upstream.conf" -g 'daemon off;' & pids+=($!)

answers() { # URL: until it does
    for _ in $(seq 900); do
        kill -0 "$proxy" 2>/dev/null || { echo "$1: the proxy has ended" >&2; exit 1; }
        curl -ksf -o /dev/null --max-time 5 --resolve "h5.test:$http:127.0.0.1" --resolve "h5.test:$https:127.0.0.1" "$1" && return
        sleep 0.1
    done
    echo "$1 does not answer" >&2; exit 1
}

start() { # proxy, domains → pid in $proxy
    case $1 in
    edge)
        mkdir -p "$folder/edge"
        "$BENCH" --http $http --https $https --upstream 127.0.0.1:$upstream --domains "$2" --certificate "$folder/cert.pem" \
            --key "$folder/key.pem" --folder "$folder/edge" --sockets 127.0.0.1:$sockets & ;;
    nginx)
        for ((n = 0; n < $2; n++)); do
            echo "server { listen 127.0.0.1:$http backlog=4096; listen 127.0.0.1:$https ssl http2 backlog=4096; server_name h$n.test; location / { proxy_pass http://app; } }"
        done > "$folder/hosts.conf"
        echo "server { listen 127.0.0.1:$http; listen 127.0.0.1:$https ssl http2; server_name kept.test; location / { proxy_pass http://app; proxy_cache kept; proxy_cache_valid 1h; } }" >> "$folder/hosts.conf"
        echo "server { listen 127.0.0.1:$http; server_name sockets.test; location / { proxy_pass http://127.0.0.1:$sockets; proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection upgrade; proxy_set_header Host \$http_host; } }" >> "$folder/hosts.conf"
        # The backlog may be given once only.
        sed -i '2,$s/ backlog=4096//g' "$folder/hosts.conf"
        fill "$here/nginx.conf" > "$folder/nginx.conf"
        nginx -c "$folder/nginx.conf" -g 'daemon off;' & ;;
    haproxy)
        { cat "$here/haproxy.cfg"
          printf 'frontend sites\n bind 127.0.0.1:%s\n bind 127.0.0.1:%s ssl crt %s alpn h2,http/1.1\n' $http $https "$folder/both.pem"
          printf ' http-request set-header X-Real-IP %%[src]\n http-request set-header X-Forwarded-Proto https if { ssl_fc }\n'
          printf ' use_backend sockets if { req.hdr(host) -i sockets.test }\n use_backend kept if { req.hdr(host) -i kept.test }\n'
          printf ' use_backend %%[req.hdr(host),field(1,:),lower,map(%s)]\n' "$folder/hosts.map"
          printf 'backend app\n http-reuse always\n server app 127.0.0.1:%s pool-max-conn 256\n' $upstream
          printf 'backend kept\n http-request cache-use answers\n http-response cache-store answers\n http-reuse always\n server app 127.0.0.1:%s\n' $upstream
          printf 'backend sockets\n server app 127.0.0.1:%s\n' $sockets; } > "$folder/haproxy.cfg"
        for ((n = 0; n < $2; n++)); do echo "h$n.test app"; done > "$folder/hosts.map"
        haproxy -db -q -f "$folder/haproxy.cfg" & ;;
    caddy)
        # All names in one block: a block for each takes Caddy minutes to read.
        { printf '{\n admin off\n auto_https off\n}\n'
          for scheme in http https; do
            for ((n = 0; n < $2; n++)); do
                ((n)) && printf ', '
                printf '%s://h%s.test:%s' $scheme $n "${!scheme}"
            done
            printf ' {\n bind 127.0.0.1\n log {\n  output file %s\n }\n' "$folder/caddy-access.log"
            [[ $scheme == https ]] && printf ' tls %s %s\n' "$folder/cert.pem" "$folder/key.pem"
            printf ' reverse_proxy 127.0.0.1:%s {\n  transport http {\n   keepalive_idle_conns_per_host 256\n  }\n }\n}\n' $upstream
          done
          printf 'http://sockets.test:%s {\n bind 127.0.0.1\n reverse_proxy 127.0.0.1:%s\n}\n' $http $sockets; } > "$folder/Caddyfile"
        XDG_DATA_HOME="$folder" XDG_CONFIG_HOME="$folder" caddy run --adapter caddyfile --config "$folder/Caddyfile" 2>"$folder/caddy.log" & ;;
    esac
    proxy=$!; pids+=("$proxy")
    answers "http://h5.test:$http/"; answers "https://h5.test:$https/"
}

stop() { kill "$proxy"; wait "$proxy" 2>/dev/null || true; }

ticks() { # processor time of a process and its children, in ticks of 10 ms
    local total=0 pid
    for pid in "$1" $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        [[ -r /proc/$pid/stat ]] && total=$((total + $(awk '{print $14 + $15}' /proc/"$pid"/stat)))
    done
    echo $total
}

can() { # proxy, kind
    [[ $2 != kept || $1 != caddy ]] # Caddy keeps no answers without a plug-in
}

wrk_load() { # connections, host, path, more
    local connections=$1 host=$2 path=$3; shift 3
    wrk -t 1 -c "$connections" -d "${each}s" --latency -H "Host: $host" "$@" "http://127.0.0.1:$http$path" > "$folder/out" 2>&1
    if grep -q 'Non-2xx\|Socket errors' "$folder/out"; then cat "$folder/out" >&2; exit 1; fi
    awk 'function ms(text) {return text ~ /us$/ ? text / 1000 : text ~ /ms$/ ? text + 0 : text * 1000}
        /requests in/ {n = $1} /Requests\/sec/ {rate = $2} $1 == "50%" {half = ms($2)} $1 == "99%" {most = ms($2)}
        END {printf "%s %s %.2f %.2f\n", rate, n, half, most}' "$folder/out"
}

h2_load() { # connections, streams, path
    h2load -t 1 -c "$1" -m "$2" -D "$each" --log-file="$folder/h2.log" --connect-to=127.0.0.1:$https "https://h5.test:$https$3" > "$folder/out" 2>&1
    if ! grep -q ' 0 failed, 0 errored' "$folder/out"; then cat "$folder/out" >&2; exit 1; fi
    # The log has microseconds in its third column.
    cut -f 3 "$folder/h2.log" | sort -n > "$folder/h2.times"; rm "$folder/h2.log"
    awk -v rate="$(awk '/^finished in/ {print $4}' "$folder/out")" '{v[NR] = $1} END {printf "%s %d %.2f %.2f\n", rate, NR, v[int((NR + 1) / 2)] / 1000, v[int(NR * 0.99)] / 1000}' "$folder/h2.times"
}

load() { # kind → a second, in all, p50 and p99 in ms
    case $1 in
    h1) wrk_load "$connections" h5.test / ;;
    h1-1m) wrk_load 16 h5.test /large ;;
    kept) wrk_load "$connections" kept.test / ;;
    connect) wrk_load 16 h5.test / -H 'Connection: close' ;;
    h2) h2_load 16 10 / ;;
    h2-1m) h2_load 8 2 /large ;;
    h2-many) h2_load 4 100 / ;;
    tls | tls-again) node "$here/clients.mjs" "$1" $https "$each" ;;
    websocket) node "$here/clients.mjs" websocket $http "$each" ;;
    esac
}

resident() { # process → KB of its own of it and its children
    local total=0 pid
    for pid in "$1" $(cat /proc/"$1"/task/*/children 2>/dev/null); do
        [[ -r /proc/$pid/status ]] && total=$((total + $(awk '/RssAnon/ {print $2}' /proc/"$pid"/status)))
    done
    echo $total
}

idle() { # → KB that a proxy needs for 1,000 idle TLS connections
    local before after holder
    before=$(resident "$proxy")
    node "$here/clients.mjs" idle $https 1000 > "$folder/held" & holder=$!
    for _ in $(seq 300); do [[ -s $folder/held ]] && break; sleep 0.1; done
    grep -q held "$folder/held" || { echo "the idle connections were not all made" >&2; exit 1; }
    after=$(resident "$proxy")
    kill "$holder"; wait "$holder" 2>/dev/null || true
    echo $((after - before))
}

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

nproc=$(nproc)
echo "$(date -u +%F), $nproc cores, $rounds rounds of $each s, $connections connections; $(nginx -v 2>&1 | sed 's/.*: //')$([[ $proxies == *haproxy* ]] && haproxy -v | awk 'NR == 1 {printf ", haproxy " $3}')$([[ $proxies == *caddy* ]] && echo ", caddy $(caddy version | cut -d' ' -f1)")"
for count in $counts; do
    for ((round = 1; round <= rounds; round++)); do
        for name in $proxies; do
            start "$name" "$count"
            for kind in $kinds; do
                can "$name" "$kind" || continue
                result=$folder/$kind.$count.$name
                if [[ $kind == idle ]]; then
                    idle >> "$result.idle"
                    continue
                fi
                each_was=$each; each=1; load "$kind" >/dev/null; each=$each_was
                before=$(ticks "$proxy")
                read -r rate in_all half most < <(load "$kind")
                after=$(ticks "$proxy")
                echo "$rate" >> "$result.rate"; echo "$half" >> "$result.half"; echo "$most" >> "$result.most"
                awk -v t=$((after - before)) -v n="$in_all" 'BEGIN {printf "%.1f\n", t * 10000 / n}' >> "$result.cpu"
            done
            awk '/VmRSS/ {printf "%.0f\n", $2 / 1024}' "/proc/$proxy/status" >> "$folder/$count.$name.memory"
            stop
        done
    done
done

called() {
    case $1 in
    h1) echo 'HTTP/1.1, 1 KB' ;; h1-1m) echo 'HTTP/1.1, 1 MB' ;; connect) echo 'HTTP/1.1, new connections' ;;
    h2) echo 'TLS HTTP/2, 1 KB' ;; h2-1m) echo 'TLS HTTP/2, 1 MB' ;; h2-many) echo 'TLS HTTP/2, 100 streams' ;;
    tls) echo 'TLS handshakes, full' ;; tls-again) echo 'TLS handshakes, resumed' ;;
    websocket) echo 'WebSocket messages' ;; kept) echo 'kept answers' ;;
    esac
}

printf '\n| work | domains | proxy | a second | of nginx | of caddy | p50 ms | p99 ms | µs of processor each |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n'
for kind in $kinds; do
    [[ $kind == idle ]] && continue
    for count in $counts; do
        for name in $proxies; do
            can "$name" "$kind" || continue
            result=$folder/$kind.$count.$name
            rate=$(median < "$result.rate")
            of() { [[ -s $folder/$kind.$count.$1.rate ]] && awk -v a="$rate" -v b="$(median < "$folder/$kind.$count.$1.rate")" 'BEGIN {printf "%.2f", a / b}' || echo -; }
            printf '| %s | %s | %s | %.0f | %s | %s | %s | %s | %s |\n' "$(called "$kind")" "$count" "$name" \
                "$rate" "$(of nginx)" "$(of caddy)" "$(median < "$result.half")" "$(median < "$result.most")" "$(median < "$result.cpu")"
        done
    done
done
if [[ $kinds == *idle* ]]; then
    echo
    for count in $counts; do
        for name in $proxies; do echo "$name, $count domains: $(median < "$folder/idle.$count.$name.idle" | awk '{printf "%.1f", $1 / 1000}') KB for an idle TLS connection"; done
    done
fi
[[ $proxies == *edge* ]] && echo && for count in $counts; do
    echo "edge with $count domains: $(median < "$folder/$count.edge.memory") MB resident after the load"
done
if [[ $counts == '10 10000' && $proxies == *edge* ]]; then
    for kind in $kinds; do
        awk -v kind="$kind" -v few="$(median < "$folder/$kind.10.edge.rate")" -v many="$(median < "$folder/$kind.10000.edge.rate")" \
            -v cpu="$(median < "$folder/$kind.10.edge.cpu")" -v cpus="$(median < "$folder/$kind.10000.edge.cpu")" \
            'BEGIN {printf "edge, %s: 10,000 domains at %.2f of the throughput of 10, %.2f by processor time\n", kind == "h1" ? "HTTP/1.1" : "TLS HTTP/2", many / few, cpu / cpus}'
    done
fi
