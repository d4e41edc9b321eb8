#!/bin/bash
# Our edge, nginx and Caddy, in front of the same upstream, in one run: plain HTTP/1.1 with kept connections (wrk) and
# TLS with HTTP/2 (h2load), with 10 and with 10,000 domains. Rounds alternate between the proxies; medians are printed,
# with the processor time that each proxy took for a request, which other work on the machine disturbs less.
#
# Usage: tests/bench/edge/run.sh            (as root on Debian: installs what it needs from the distribution)
# ROUNDS=5 SECONDS_EACH=6 CONNECTIONS=64 PROXIES="edge nginx caddy" DOMAINS="10 10000" KINDS="h1 h2" change it.
# BENCH=path takes a built example instead of building it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
rounds=${ROUNDS:-5} each=${SECONDS_EACH:-6} connections=${CONNECTIONS:-64}
proxies=${PROXIES:-edge nginx caddy} counts=${DOMAINS:-10 10000} kinds=${KINDS:-h1 h2}
free_port() { local port; while port=$((20000 + RANDOM % 9000)); (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null; do :; done; echo $port; }
http=$(free_port) https=$(free_port) upstream=$(free_port)

need() { command -v "$1" >/dev/null || missing+=("$2"); }
missing=()
need nginx nginx-light; need wrk wrk; need h2load nghttp2-client; need openssl openssl; need curl curl
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
            --key "$folder/key.pem" --folder "$folder/edge" & ;;
    nginx)
        for ((n = 0; n < $2; n++)); do
            echo "server { listen 127.0.0.1:$http backlog=4096; listen 127.0.0.1:$https ssl http2 backlog=4096; server_name h$n.test; location / { proxy_pass http://app; } }"
        done > "$folder/hosts.conf"
        # The backlog may be given once only.
        sed -i '2,$s/ backlog=4096//g' "$folder/hosts.conf"
        fill "$here/nginx.conf" > "$folder/nginx.conf"
        nginx -c "$folder/nginx.conf" -g 'daemon off;' & ;;
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
          done; } > "$folder/Caddyfile"
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

load() { # kind → requests per second, requests
    case $1 in
    h1) wrk -t 1 -c "$connections" -d "${each}s" -H 'Host: h5.test' "http://127.0.0.1:$http/" > "$folder/out" 2>&1
        if grep -q 'Non-2xx\|Socket errors' "$folder/out"; then cat "$folder/out" >&2; exit 1; fi
        awk '/requests in/ {n = $1} /Requests\/sec/ {print $2, n}' "$folder/out" ;;
    h2) h2load -t 1 -c 16 -m 10 -D "$each" --connect-to=127.0.0.1:$https "https://h5.test:$https/" > "$folder/out" 2>&1
        if ! grep -q ' 0 failed, 0 errored' "$folder/out"; then cat "$folder/out" >&2; exit 1; fi
        awk '/^finished in/ {rate = $4} /^requests:/ {print rate, $8}' "$folder/out" ;;
    esac
}

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

nproc=$(nproc)
echo "$(date -u +%F), $nproc cores, $rounds rounds of $each s, $connections connections; $(nginx -v 2>&1 | sed 's/.*: //')$([[ $proxies == *caddy* ]] && echo ", caddy $(caddy version | cut -d' ' -f1)")"
for count in $counts; do
    for ((round = 1; round <= rounds; round++)); do
        for name in $proxies; do
            start "$name" "$count"
            for kind in $kinds; do
                each_was=$each; each=1; load "$kind" >/dev/null; each=$each_was
                before=$(ticks "$proxy")
                read -r rate done_requests < <(load "$kind")
                after=$(ticks "$proxy")
                echo "$rate" >> "$folder/$kind.$count.$name.rate"
                awk -v t=$((after - before)) -v n="$done_requests" 'BEGIN {printf "%.1f\n", t * 10000 / n}' >> "$folder/$kind.$count.$name.cpu"
            done
            [[ $name == edge ]] && awk '/VmRSS/ {printf "%.0f\n", $2 / 1024}' "/proc/$proxy/status" >> "$folder/$count.memory"
            stop
        done
    done
done

printf '\n| work | domains | proxy | requests/s | of nginx | of caddy | µs of processor a request |\n| --- | --- | --- | --- | --- | --- | --- |\n'
for kind in $kinds; do
    for count in $counts; do
        for name in $proxies; do
            rate=$(median < "$folder/$kind.$count.$name.rate")
            of() { [[ -s $folder/$kind.$count.$1.rate ]] && awk -v a="$rate" -v b="$(median < "$folder/$kind.$count.$1.rate")" 'BEGIN {printf "%.2f", a / b}' || echo -; }
            printf '| %s | %s | %s | %.0f | %s | %s | %s |\n' "$([[ $kind == h1 ]] && echo 'HTTP/1.1' || echo 'TLS, HTTP/2')" "$count" "$name" \
                "$rate" "$(of nginx)" "$(of caddy)" "$(median < "$folder/$kind.$count.$name.cpu")"
        done
    done
done
[[ $proxies == *edge* ]] && echo && for count in $counts; do
    echo "edge with $count domains: $(median < "$folder/$count.memory") MB resident after the load"
done
if [[ $counts == '10 10000' && $proxies == *edge* ]]; then
    for kind in $kinds; do
        awk -v kind="$kind" -v few="$(median < "$folder/$kind.10.edge.rate")" -v many="$(median < "$folder/$kind.10000.edge.rate")" \
            -v cpu="$(median < "$folder/$kind.10.edge.cpu")" -v cpus="$(median < "$folder/$kind.10000.edge.cpu")" \
            'BEGIN {printf "edge, %s: 10,000 domains at %.2f of the throughput of 10, %.2f by processor time\n", kind == "h1" ? "HTTP/1.1" : "TLS HTTP/2", many / few, cpu / cpus}'
    done
fi
