#!/usr/bin/env bash
# From a fresh Debian or Ubuntu and this repository to a running panel: installs what is missing, builds, and starts
# `serverkit serve --dev` in the folder you are in (state in ./.serverkit). It prints the link to open.
#
#   packaging/run.sh [options of serverkit serve]
#   SERVERKIT_CACHE=DIR packaging/run.sh    where compiled files are kept; else ~/.cache/serverkit
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)

CACHE=${SERVERKIT_CACHE:-$HOME/.cache/serverkit}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
mkdir -p "$CACHE"

say() { printf '\033[2m·\033[0m %s\n' "$*" >&2; }
fail() {
    printf 'run.sh: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root: $*"
    fi
}

install_packages() {
    local missing=()
    have cmake || missing+=(cmake)
    { have make && have c++; } || missing+=(build-essential)
    have perl || missing+=(perl)
    have pkg-config || missing+=(pkg-config)
    have curl || missing+=(curl)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    have dockerd || have docker || engine_answers || missing+=(docker.io iptables)
    if needs_apparmor; then missing+=(apparmor); fi
    [ ${#missing[@]} -gt 0 ] || return 0
    have apt-get || fail "please install: ${missing[*]} (this script knows Debian and Ubuntu only)"
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Where the kernel has AppArmor on, Docker starts no container without its tools; docker.io only recommends them.
needs_apparmor() {
    grep -qs Y /sys/module/apparmor/parameters/enabled && ! have apparmor_parser && [ ! -x /sbin/apparmor_parser ]
}

install_compiler() {
    # shellcheck disable=SC1091
    if ! have cargo && [ -f "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
    if have cargo; then
        local wanted found
        wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repository/Cargo.toml" | head -n 1)
        found=$(cargo --version | awk '{ print $2 }')
        [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
            fail "cargo $found is too old, $wanted is needed: run \`rustup update\`, or remove this cargo and this script installs one by rustup"
        return
    fi
    say "installing the Rust compiler by rustup"
    curl --proto '=https' --tlsv1.2 -fsSL https://sh.rustup.rs | sh -s -- -y -q --profile minimal --no-modify-path
    # shellcheck disable=SC1091
    . "$HOME/.cargo/env"
}

engine_socket() {
    case ${DOCKER_HOST:-} in
    "") echo /var/run/docker.sock ;;
    unix://*) echo "${DOCKER_HOST#unix://}" ;;
    esac
}
engine_answers() {
    local socket
    socket=$(engine_socket)
    if [ -z "$socket" ]; then return 0; fi # somewhere else: not ours to start
    if have curl; then
        curl -fsS -o /dev/null --max-time 5 --unix-socket "$socket" http://localhost/_ping 2>/dev/null
    else
        docker version >/dev/null 2>&1
    fi
}

start_engine() {
    engine_answers && return
    local socket
    socket=$(engine_socket)
    if [ -S "$socket" ] && [ ! -w "$socket" ]; then
        say "Docker's socket is not yours to use: add yourself to the group docker and sign in again (the panel starts without it)"
        return
    fi
    say "starting Docker"
    if [ -d /run/systemd/system ]; then
        as_root systemctl start docker || true
    else
        as_root sh -c 'exec setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &'
    fi
    for _ in $(seq 60); do
        if engine_answers; then return; fi
        sleep 0.5
    done
    say "Docker does not answer; the panel starts without it and says what to do"
}

install_packages
install_compiler
start_engine
say "building (the first time takes some minutes)"
cargo build --locked --manifest-path "$repository/Cargo.toml" -p serverkit
exec "$CARGO_TARGET_DIR/debug/serverkit" serve --dev "$@"
