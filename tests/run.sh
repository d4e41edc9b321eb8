#!/usr/bin/env bash
# Runs every check of the project. On a fresh Debian machine it first installs what the checks need (apt, npm, crates).
#
#   tests/run.sh [--long] [--bench] [--no-install] [FILTER…]
#   tests/run.sh conformance DIR [--no-install]
#
#   --long         the tests marked `#[ignore]` too: 200 kills during writes, 20 deployments under load,
#                  testssl.sh; and a minute of fuzzing for each parser
#   --bench        the table of the edge beside nginx, HAProxy and Caddy too: a release build, then ten minutes
#   --no-install   fails in words where something is missing, and installs nothing
#   FILTER…        only the Rust tests whose names contain one of these; no linters, no UI
#   conformance    only the samples of the Compose Specification: DIR is a checkout of compose-spec/conformance-tests
#
# What is built is kept outside the clone, in ${SERVERKIT_CACHE:-~/.cache/serverkit}, so a second run is warm. The
# container engine is one of the tests' own, with its own data and socket: the machine's images and containers are not
# touched. SERVERKIT_TESTS_ENGINE=given uses the one that DOCKER_HOST names instead.
#
# The last line is `N passed, N failed`; the exit code is 1 when anything failed.
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

long= bench= install=yes filters=()
# The one test that is about files which are not ours; `conformance` is where they are.
samples=docker_samples_of_the_specification conformance=
if [ "${1:-}" = conformance ]; then
    (($# >= 2)) || { echo "tests: conformance wants the folder of a checkout: tests/run.sh conformance DIR" >&2; exit 2; }
    conformance=$(cd "$called_from" && cd -- "$2" && pwd) || exit 2
    filters=("$samples")
    shift 2
fi
while (($#)); do
    case $1 in
        --long) long=yes ;;
        --bench) bench=yes ;;
        --no-install) install= ;;
        -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
        -*) echo "tests: no such option: $1" >&2; exit 2 ;;
        *) filters+=("$1") ;;
    esac
    shift
done

say() { printf '\n== %s\n' "$*"; }
die() { printf 'tests: %s\n' "$*" >&2; exit 1; }

export PATH="$HOME/.cargo/bin:$PATH"
if [ "$(id -u)" != 0 ]; then
    # The engine, small disks and sshd need root.
    command -v sudo >/dev/null || die "run this as root: it starts a container engine, mounts small disks and starts sshd"
    exec sudo env "PATH=$PATH" "HOME=$HOME" ${SERVERKIT_CACHE:+"SERVERKIT_CACHE=$SERVERKIT_CACHE"} bash tests/run.sh ${conformance:+conformance "$conformance"} ${long:+--long} ${bench:+--bench} "${filters[@]}"
fi

cache=${SERVERKIT_CACHE:-$HOME/.cache/serverkit}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export CARGO_TERM_COLOR=never NO_COLOR=1
logs=$cache/logs
mkdir -p "$cache" "$logs" "$CARGO_TARGET_DIR"

# ---- what the checks need -------------------------------------------------------------------------------------------

# command -> Debian package
packages() {
    local missing=() command package
    while read -r command package; do
        command -v "$command" >/dev/null || [ -x "/usr/sbin/$command" ] || missing+=("$package")
    done <<'LIST'
cc build-essential
cmake cmake
perl perl
pkg-config pkg-config
curl curl
git git
openssl openssl
ip iproute2
iptables iptables
pgrep procps
mount mount
unshare util-linux
mkfs.ext4 e2fsprogs
dockerd docker.io
apparmor_parser apparmor
debootstrap debootstrap
zstd zstd
docker-registry docker-registry
docker-compose docker-compose
nginx nginx-light
testssl testssl.sh
pebble pebble
pebble-challtestsrv pebble
named bind9
faketime faketime
sshd openssh-server
ssh-keygen openssh-client
chromium chromium
oathtool oathtool
slapd slapd
ldapmodify ldap-utils
php php-cli
node nodejs
npm npm
LIST
    [ -s /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    [ -d /usr/share/simplesamlphp ] || missing+=(simplesamlphp php-xml php-mbstring)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [ -d /usr/share/keyrings ] && ls /usr/share/keyrings/debian-archive-* >/dev/null 2>&1 || missing+=(debian-archive-keyring)
    ((${#missing[@]})) || return 0
    [ -n "$install" ] || die "missing: ${missing[*]}"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q
    # Servers that are only tested with do not start by themselves.
    export RUNLEVEL=1
    apt-get install -yq --no-install-recommends "${missing[@]}" || apt_one_by_one "${missing[@]}"
}

# A package that a release does not have must not keep the others away.
apt_one_by_one() {
    local package
    for package in "$@"; do
        apt-get install -yq --no-install-recommends "$package" || printf 'tests: no package %s here\n' "$package" >&2
    done
}

rust() {
    local wanted have
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    have=$(rustc --version 2>/dev/null | cut -d' ' -f2 || true)
    if [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ]; then
        cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    fi
    [ -n "$install" ] || die "needs Rust $wanted with rustfmt and clippy; found ${have:-none}"
    say "installing Rust"
    command -v rustup >/dev/null || curl -sSf --proto '=https' https://sh.rustup.rs | sh -s -- -y --profile minimal --no-modify-path
    rustup toolchain install stable --profile minimal --component rustfmt --component clippy
    rustup default stable
}

runner() {
    cargo nextest --version >/dev/null 2>&1 && return
    [ -n "$install" ] || return 0
    say "installing cargo-nextest"
    # Without optimisation it is built in half the time and is quick enough.
    cargo install --locked --debug cargo-nextest >"$logs/nextest.log" 2>&1 || say "no cargo-nextest ($logs/nextest.log): using cargo test"
}

# The examples of GitLab's documentation, which Debian's package of a client has as files; nothing of it is installed.
gitlab_examples() {
    local package=golang-github-xanzy-go-gitlab-dev folder=$cache/gitlab-examples
    export SERVERKIT_GITLAB_EXAMPLES=$folder/usr/share/gocode/src/github.com/xanzy/go-gitlab/testdata/webhooks
    [ ! -d "$SERVERKIT_GITLAB_EXAMPLES" ] && [ -n "$install" ] || return 0
    say "getting GitLab's examples"
    mkdir -p "$folder"
    (cd "$folder" && apt-get download -q "$package" && dpkg-deb -x "$package"_*.deb . && rm "$package"_*.deb) \
        || printf 'tests: no package %s here: its examples are not sent\n' "$package" >&2
}

# ---- the engine of the tests ----------------------------------------------------------------------------------------

engine_pid='' bridge=sk-tests

start_engine() {
    if [ "${SERVERKIT_TESTS_ENGINE:-own}" = given ]; then
        docker version >/dev/null || die "no engine answers at ${DOCKER_HOST:-/var/run/docker.sock}"
        return
    fi
    local home=$cache/engine
    mkdir -p "$home"
    exec 8>"$home/lock"
    flock -w 60 8 || die "another run uses the engine in $home"
    rm -f "$home/docker.pid"
    ip link add "$bridge" type bridge 2>/dev/null || true
    ip addr replace 172.31.247.1/24 dev "$bridge"
    ip link set "$bridge" up
    # No firewall rules and no containerd of the machine: another engine on this machine must not notice.
    dockerd --data-root "$home/data" --exec-root "$home/exec" --pidfile "$home/docker.pid" --host "unix://$home/docker.sock" \
        --bridge "$bridge" --iptables=false --ip-masq=false --default-address-pool base=172.31.248.0/22,size=27 \
        --containerd-namespace serverkit-tests --containerd-plugins-namespace serverkit-tests-plugins \
        >"$logs/dockerd.log" 2>&1 8>&- &
    engine_pid=$!
    export DOCKER_HOST=unix://$home/docker.sock
    local tries
    for tries in $(seq 120); do
        docker version >/dev/null 2>&1 && return
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 0.5
    done
    tail -n 20 "$logs/dockerd.log" >&2
    die "the tests' engine does not start; its log: $logs/dockerd.log"
}

# Containers of one network must reach each other also where another engine lets nothing be forwarded that it does not
# know; and what is built, on the tests' own bridge, gets its packages from outside. While the tests run.
own=(-m comment --comment serverkit-tests)
rules=(
    "filter FORWARD -s 10.0.0.0/8 -d 10.0.0.0/8 -m physdev --physdev-is-bridged"
    "filter FORWARD -s 172.31.247.0/24"
    "filter FORWARD -d 172.31.247.0/24 -m conntrack --ctstate ESTABLISHED,RELATED"
    "nat POSTROUTING -s 172.31.247.0/24 ! -d 172.31.247.0/24"
)

# firewall -I|-D: adds or removes them.
firewall() {
    local rule table chain match target
    for rule in "${rules[@]}"; do
        read -r table chain match <<<"$rule"
        target=ACCEPT
        [ "$table" = filter ] || target=MASQUERADE
        # shellcheck disable=SC2086 # the words of a rule
        iptables -t "$table" -D "$chain" $match "${own[@]}" -j "$target" 2>/dev/null || true
        [ "$1" = -D ] || iptables -t "$table" -I "$chain" $match "${own[@]}" -j "$target" || return
    done
}

let_containers_talk() {
    firewall -I || say "no firewall rule for the tests: containers may not reach each other, builds not the packages"
}

stop_engine() {
    [ -n "$engine_pid" ] || return 0
    firewall -D
    local left
    left=$(docker ps -aq 2>/dev/null || true)
    [ -z "$left" ] || docker rm -fv $left >/dev/null 2>&1 || true
    docker network prune -f >/dev/null 2>&1 || true
    kill "$engine_pid" 2>/dev/null || true
    wait "$engine_pid" 2>/dev/null || true
    ip link del "$bridge" 2>/dev/null || true
    engine_pid=''
}

images_pid=''
finish() {
    [ -z "$images_pid" ] || kill "$images_pid" 2>/dev/null || true
    stop_engine
}
trap finish EXIT
trap 'exit 130' INT TERM

# ---- the checks -----------------------------------------------------------------------------------------------------

passed=0 failed=0 broken=() totals=()

# check NAME COMMAND…: one check that passes or fails as a whole.
check() {
    local name=$1
    shift
    say "$name"
    # The lock of the engine is this script's own: what a check leaves running must not hold it.
    if "$@" 8>&-; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        broken+=("$name")
    fi
}

# Adds up the totals that a runner printed: nextest, `cargo test`, `node --test`.
count() {
    local log=$1 line more less
    while read -r line; do
        more=$(sed -nE 's/.*[^0-9]([0-9]+) passed.*/\1/p' <<<"$line")
        less=$(sed -nE 's/.*[^0-9]([0-9]+) failed.*/\1/p' <<<"$line")
        passed=$((passed + ${more:-0})) failed=$((failed + ${less:-0}))
        totals+=("$line")
    done < <(grep -aE '^ +Summary \[|^test result:|^ +[0-9]+ (passed|failed)' "$log" || true)
    more=$(sed -nE 's/^(# |ℹ )pass ([0-9]+).*/\2/p' "$log" | tail -n 1)
    less=$(sed -nE 's/^(# |ℹ )fail ([0-9]+).*/\2/p' "$log" | tail -n 1)
    [ -z "$more" ] || totals+=("node --test: ${more:-0} passed, ${less:-0} failed")
    passed=$((passed + ${more:-0})) failed=$((failed + ${less:-0}))
}

# tests NAME COMMAND…: a runner that prints totals of its own.
tests() {
    local name=$1 log=$logs/$1.log before=$failed
    shift
    say "$name"
    local code=0
    "$@" 2>&1 8>&- | tee "$log" || code=$?
    count "$log"
    if [ "$code" != 0 ]; then
        # A runner that fails before it counts is a failure too.
        [ "$failed" != "$before" ] || failed=$((failed + 1))
        broken+=("$name")
    fi
}

rust_tests() {
    if [ -n "$conformance" ]; then
        SERVERKIT_CONFORMANCE=$conformance cargo test --locked -p serverkit-tests "$samples" -- --include-ignored
        return
    fi
    if cargo nextest --version >/dev/null 2>&1; then
        # Most of them wait for something most of the time: one more than there are cores.
        cargo nextest run --workspace --test-threads "$(($(nproc) + 1))" ${long:+--profile long --run-ignored all -E "not test($samples)"} --no-tests pass "${filters[@]}"
        return
    fi
    local code=0
    cargo test --workspace --no-fail-fast -- ${long:+--include-ignored} --skip docker_ "${filters[@]}" || code=1
    cargo test --workspace --no-fail-fast docker_ -- ${long:+--include-ignored} --skip "$samples" --test-threads 1 || code=1
    return $code
}

packages
rust
runner
gitlab_examples
start_engine
[ -z "$engine_pid" ] || let_containers_talk
say "test images"
tests/images/build.sh "$cache/images" >"$logs/images.log" 2>&1 &
images_pid=$!

# Cargo takes what another clone built for this one's, with that clone's folder in it.
if [ "$(cat "$CARGO_TARGET_DIR/clone" 2>/dev/null)" != "$PWD" ]; then
    touch src/*/*.rs tests/*.rs
    printf '%s\n' "$PWD" >"$CARGO_TARGET_DIR/clone"
fi

if ((${#filters[@]} == 0)); then
    check "formatting" cargo fmt --all --check
    check "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
fi
check "binary" cargo build --locked -p serverkit
export SERVERKIT_BIN=$CARGO_TARGET_DIR/debug/serverkit
wait "$images_pid" || { tail -n 20 "$logs/images.log"; die "the test images could not be made: $logs/images.log"; }
images_pid=''
check "peers" npm --prefix tests/peers ci --no-audit --no-fund --loglevel error
tests rust rust_tests
if [ -n "$long" ] && ((${#filters[@]} == 0)); then check "fuzzing" tests/fuzz/run.sh --seconds "${SERVERKIT_FUZZ_SECONDS:-60}"; fi
if ((${#filters[@]} == 0)) && [ -f tests/ui/package.json ]; then
    check "UI packages" npm --prefix tests/ui ci --no-audit --no-fund --loglevel error
    tests ui npm --prefix tests/ui test
fi
# Last, since nothing else may run beside it.
if [ -n "$bench" ]; then check "edge benchmark" tests/bench/edge/run.sh table; fi

say "results"
((${#broken[@]} == 0)) || printf 'failed: %s\n' "${broken[@]}"
printf '%s\n' "${totals[@]}"
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
