#!/bin/sh
# Installs serverkit on this machine, or upgrades it in place:
#
#   curl -fsSL https://github.com/serverkit/serverkit/releases/latest/download/install.sh | sh
#   sh install.sh --binary ./serverkit-x86_64-linux
#   sh install.sh --uninstall [--purge]
#
# Puts the binary at /usr/local/bin/serverkit, units at /etc/systemd/system/serverkit*, a configuration of
# comments at /etc/serverkit/config.toml, and state at /var/lib/serverkit. Runs the panel as the system user
# `serverkit`, who may bind low ports and is in the group `docker`; being in that group is as good as being root.
# Installs Docker from the distribution if there is none. Run again, it upgrades: state and configuration stay, and the
# old binary comes back if the new one does not start.
set -eu

program=/usr/local/bin/serverkit
units=/etc/systemd/system
unit=$units/serverkit.service
unit_names="serverkit.service serverkit-builds.path serverkit-builds.service"
config=/etc/serverkit/config.toml
data=/var/lib/serverkit
user=serverkit
: "${RELEASE_URL:=https://github.com/serverkit/serverkit/releases/latest/download}"

binary=
checksum=
start=yes
docker=yes
uninstall=
purge=
yes=
work=

usage() {
    cat <<'TEXT'
Usage: install.sh [options]

  --binary FILE     install this file in place of a download; checked against FILE.sha256 or the SHA256SUMS beside it, if any
  --sha256 HEX      the checksum that the binary must have
  --no-start        install, but start nothing (needed where systemd does not run)
  --no-docker       do not install Docker
  --uninstall       remove the program and its unit; state, configuration, containers and volumes stay
  --purge           with --uninstall: remove those too, after showing them
  --yes             do not ask
  --help            show this

Environment: RELEASE_URL, where the release is downloaded from (a folder with serverkit-ARCH-linux, the units and
SHA256SUMS).
TEXT
}

say() { printf '%s\n' "$@"; }
fail() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
systemd_runs() { [ -d /run/systemd/system ] && have systemctl; }
cleanup() { [ -z "$work" ] || rm -rf "$work"; }

main() {
    read_arguments "$@"
    [ "$(uname -s)" = Linux ] || fail "serverkit runs on Linux, and this is $(uname -s)"
    [ "$(id -u)" = 0 ] || fail "this needs root" "run it with sudo: curl -fsSL … | sudo sh"
    trap cleanup EXIT
    trap 'exit 130' INT TERM
    if [ -n "$uninstall" ]; then
        remove
        return
    fi
    if [ -n "$start" ] && ! systemd_runs; then
        fail "systemd does not run here, so nothing would start serverkit" \
            "give --no-start to install it without starting, then run: serverkit serve"
    fi
    architecture
    work=$(mktemp -d)
    get_binary
    get_units
    check_ports
    install_docker
    make_user
    install_files
    if [ -n "$start" ]; then
        start_service
    else
        rm -f "$program.old"
        say "Not started." "Start it with: $(if systemd_runs; then echo systemctl enable --now serverkit; else echo serverkit serve; fi)"
    fi
}

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
        --binary | --sha256)
            [ $# -ge 2 ] || fail "$1 needs a value"
            case $1 in --binary) binary=$2 ;; *) checksum=$2 ;; esac
            shift
            ;;
        --binary=*) binary=${1#*=} ;;
        --sha256=*) checksum=${1#*=} ;;
        --no-start) start= ;;
        --no-docker) docker= ;;
        --uninstall) uninstall=yes ;;
        --purge) purge=yes ;;
        --yes | -y) yes=yes ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) fail "unknown option $1" "see --help" ;;
        esac
        shift
    done
    [ -z "$purge" ] || [ -n "$uninstall" ] || fail "--purge goes with --uninstall"
}

architecture() {
    case $(uname -m) in
    x86_64 | amd64) arch=x86_64 ;;
    aarch64 | arm64) arch=aarch64 ;;
    *) fail "there is no serverkit for $(uname -m)" "it runs on x86_64 and aarch64" ;;
    esac
    name=serverkit-$arch-linux
}

# download NAME: brings a file of the release to $work/NAME
download() {
    if have curl; then
        curl -fsSL --proto '=https,http,file' --retry 3 -o "$work/$1" "$RELEASE_URL/$1"
    elif have wget; then
        wget -q -O "$work/$1" "$RELEASE_URL/$1"
    else
        fail "neither curl nor wget is here to download with" "install one of them, or give --binary FILE"
    fi || fail "cannot download $RELEASE_URL/$1" "check the address and the network, or give --binary FILE"
}

# sum_of SUMS NAME: the checksum of NAME in a file of `sha256sum` lines
sum_of() { awk -v name="$2" '$2 == name || $2 == "*" name { print $1; exit }' "$1"; }

get_binary() {
    if [ -n "$binary" ]; then
        [ -f "$binary" ] || fail "there is no file $binary"
        cp "$binary" "$work/serverkit"
        if [ -z "$checksum" ] && [ -f "$binary.sha256" ]; then
            checksum=$(awk '{ print $1; exit }' "$binary.sha256")
        elif [ -z "$checksum" ] && [ -f "$(dirname "$binary")/SHA256SUMS" ]; then
            checksum=$(sum_of "$(dirname "$binary")/SHA256SUMS" "$(basename "$binary")")
        fi
    else
        say "Downloading $RELEASE_URL/$name"
        download SHA256SUMS
        download "$name"
        mv "$work/$name" "$work/serverkit"
        : "${checksum:=$(sum_of "$work/SHA256SUMS" "$name")}"
        [ -n "$checksum" ] || fail "SHA256SUMS of the release does not name $name"
    fi
    if [ -n "$checksum" ]; then
        found=$(sha256sum "$work/serverkit" | awk '{ print $1 }')
        [ "$found" = "$checksum" ] ||
            fail "the checksum of the binary is wrong, so it was not installed" "expected $checksum" "found    $found"
    fi
    chmod 755 "$work/serverkit"
    version=$("$work/serverkit" --version 2>/dev/null) ||
        fail "the binary does not run on this machine" "is it a serverkit binary for $arch?"
}

# The units lie beside this script in the repository, beside the binary in a release folder, or in the release.
get_units() {
    here=
    case $0 in install.sh | */install.sh) here=$(dirname "$0")/../systemd ;; esac
    for unit_name in $unit_names; do get_unit "$unit_name"; done
}

get_unit() {
    for place in "$here" "${binary:+$(dirname "$binary")}"; do
        if [ -n "$place" ] && [ -f "$place/$1" ]; then
            cp "$place/$1" "$work/$1"
            return
        fi
    done
    download "$1"
    if [ -f "$work/SHA256SUMS" ]; then
        [ "$(sha256sum "$work/$1" | awk '{ print $1 }')" = "$(sum_of "$work/SHA256SUMS" "$1")" ] ||
            fail "the checksum of $1 is wrong, so nothing was installed"
    fi
}

# is_taken PORT: whether something listens there on any address (man 5 proc: state 0A is LISTEN)
is_taken() {
    hex=$(printf '%04X' "$1")
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -qiE "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:0000 0A "
}

# On a first install only: later the ports are serverkit's own, or were changed in the configuration.
check_ports() {
    [ -n "$start" ] && [ ! -f "$unit" ] && [ ! -f "$config" ] || return 0
    taken=
    for port in 80 443 9443; do
        ! is_taken "$port" || taken="$taken $port$(who_has "$port")"
    done
    [ -z "$taken" ] || fail "these ports are taken:$taken" \
        "stop what listens there, or choose other ports: install with --no-start, edit $config, then systemctl enable --now serverkit"
}

who_has() {
    have ss || return 0
    ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)".*/ (by \1)/p' | head -n 1
}

# Where the kernel has AppArmor on, Docker starts no container without its tools; docker.io only recommends them.
needs_apparmor() {
    grep -qs Y /sys/module/apparmor/parameters/enabled && ! have apparmor_parser && [ ! -x /sbin/apparmor_parser ]
}

install_docker() {
    if [ -z "$docker" ]; then
        has_docker || say "Docker is not installed: serverkit runs, and deploys once Docker is there."
        return
    fi
    if has_docker; then
        if needs_apparmor && have apt-get; then
            say "Installing apparmor: without it Docker starts no container on this kernel"
            apt_install apparmor || fail "apparmor could not be installed" "install it, then run this again (or give --no-docker)"
        fi
        return
    fi
    say "Installing Docker from the distribution"
    if have apt-get; then
        apt_install docker.io iptables ca-certificates "$(if needs_apparmor; then echo apparmor; fi)"
    elif have dnf; then
        dnf install -y -q moby-engine || dnf install -y -q docker
    elif have zypper; then
        zypper --non-interactive --quiet install docker
    elif have pacman; then
        pacman -Sy --noconfirm docker
    else
        false
    fi || fail "Docker could not be installed" "install it as its documentation says, then run this again (or give --no-docker)"
    if systemd_runs; then systemctl enable --now docker >/dev/null 2>&1 || say "Docker did not start; see: systemctl status docker"; fi
}

has_docker() { have docker || have dockerd || [ -S /var/run/docker.sock ]; }

apt_install() {
    DEBIAN_FRONTEND=noninteractive apt-get update -qq || return
    # An empty name is no package.
    for package in "$@"; do
        shift
        [ -z "$package" ] || set -- "$@" "$package"
    done
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

make_user() {
    getent group docker >/dev/null || groupadd --system docker
    getent group "$user" >/dev/null || groupadd --system "$user"
    getent passwd "$user" >/dev/null ||
        useradd --system --gid "$user" --home-dir "$data" --no-create-home --shell /usr/sbin/nologin "$user"
    usermod -a -G docker "$user"
}

install_files() {
    install -d -m 0700 -o "$user" -g "$user" "$data"
    install -d -m 0755 /etc/serverkit
    if [ ! -e "$config" ]; then
        write_config >"$work/config.toml"
        install -m 0644 "$work/config.toml" "$config"
    elif ! "$work/serverkit" config check "$config" >"$work/check" 2>&1; then
        cat "$work/check" >&2
        fail "the configuration does not suit $version, so nothing was changed" "mend $config, then run this again"
    fi
    old=
    if [ -e "$program" ]; then
        old=$("$program" --version 2>/dev/null || echo "a broken binary")
        cp -p "$program" "$program.old"
    fi
    # A rename, so that a running serverkit keeps its file and the path is never half written.
    install -m 0755 "$work/serverkit" "$program.new"
    mv -f "$program.new" "$program"
    if [ -d /etc/systemd/system ] || systemd_runs; then
        for unit_name in $unit_names; do install -D -m 0644 "$work/$unit_name" "$units/$unit_name"; done
    fi
    case $old in
    '') say "Installed $version" ;;
    "$version") say "Installed $version again" ;;
    *) say "Upgraded $old to $version" ;;
    esac
}

write_config() {
    cat <<'TEXT'
# Configuration of `serverkit serve`. Everything may be left out; `serverkit config check` says what is wrong or meant.
# After a change: systemctl restart serverkit

# http = ":80"          where sites are served in plain
# https = ":443"        where sites are served over TLS
# panel = ":9443"       where the panel is served over TLS
# log = "info"
# data = "/var/lib/serverkit"   where it keeps its state
# apps_domain = "apps.example.com"   under which apps get a name, when the settings name none
# drain_seconds = 30    how long requests may take to end when it stops
# edge_threads = 4      threads of the proxy: one for each core
# open_networks = ["10.0.0.0/8"]   inner networks in which every organization may name addresses, of repositories and the like

# [docker]
# host = "unix:///var/run/docker.sock"

# [builds]               what each step of a build may use
# memory_mib = 2048     half of the machine's memory, between 256 and 8192
# processes = 4096
# cpu_weight = 25       its share of busy cores; an app has 100
# cache_gib = 8         what all builds keep for the next ones: a tenth of the disk, between 2 and 50
# free_memory_mib = 256 what must be free when a build begins beside others
# free_disk_mib = 1024  what must be free on the disk when a build begins
# disk_mib = 10240      what a whole build may take of the disk: a quarter of it, between 4096 and 65536
# reserve_disk_mib = 512 what stays free for the apps: a build that comes below it is ended

# [passwords]
# breached = "/var/lib/pwned-passwords.txt"   passwords that leaked and that nobody may choose: a file or folder of haveibeenpwned.com

# [network]
# range = "10.201.0.0/16"   networks of environments are cut from it

# [acme]
# directory = "https://acme.example.com/directory"   in place of the one in the settings
# ca_file = "/etc/serverkit/acme.pem"   the authority that signed the directory's own certificate
# dns_servers = ["192.0.2.53"]   asked whether an order would work, when the settings name none

# [upgrade]
# window_seconds = 30   how long a new version is watched before the old one goes
# key = "RW…"           the key that signs releases, when it is not the usual one
TEXT
}

start_service() {
    systemctl daemon-reload
    systemctl enable -q serverkit
    if ! systemctl restart serverkit; then
        journalctl -u serverkit -n 20 --no-pager -o cat >&2 || true
        if [ -n "$old" ]; then
            mv -f "$program.old" "$program"
            systemctl restart serverkit || fail "neither $version nor $old starts" "see: journalctl -u serverkit"
            fail "$version did not start; $old is back and runs" "the reason is above"
        fi
        fail "serverkit did not start" "the reason is above; see also: journalctl -u serverkit"
    fi
    rm -f "$program.old"
    greet
}

greet() {
    invocation=$(systemctl show -p InvocationID --value serverkit)
    tries=0
    while [ $tries -lt 20 ]; do
        printed=$(journalctl -o cat "_SYSTEMD_INVOCATION_ID=$invocation" 2>/dev/null | grep -E '^(panel|setup|warning): ' || true)
        case $printed in *panel:*) break ;; esac
        tries=$((tries + 1))
        sleep 0.5
    done
    say "" "serverkit runs."
    printf '%s\n' "$printed" | sed -n 's/^panel: /  panel: /p; s/^warning: /  /p'
    link=$(printf '%s\n' "$printed" | sed -n 's/^setup: //p' | head -n 1)
    if [ -n "$link" ]; then
        say "" "Open this link once to make the first administrator:" "" "  $link" "" \
            "(or, on this machine: serverkit setup --email YOU@EXAMPLE.COM; a new link comes with: systemctl restart serverkit)"
    fi
}

remove() {
    if [ -n "$purge" ]; then
        show_purge
    fi
    if systemd_runs && [ -f "$unit" ]; then
        systemctl disable -q --now serverkit || true
    fi
    for unit_name in $unit_names; do rm -f "$units/$unit_name"; done
    rm -f "$program" "$program.old" "$program.new"
    if systemd_runs; then systemctl daemon-reload; fi
    if [ -n "$purge" ]; then
        purge_containers
        rm -rf "$data" /etc/serverkit
        if getent passwd "$user" >/dev/null; then userdel "$user"; fi
        if getent group "$user" >/dev/null; then groupdel "$user"; fi
        say "serverkit and everything that it made is gone. Docker stays."
    else
        say "serverkit is removed. These stay: $data, /etc/serverkit, and the containers and volumes of the apps." \
            "Install it again and everything is back; --uninstall --purge removes them too."
    fi
}

ours() { docker "$@" --filter label=serverkit.organization 2>/dev/null || true; }
engine_answers() { have docker && docker version >/dev/null 2>&1; }

show_purge() {
    say "This removes for good:" "  $data ($(du -sh "$data" 2>/dev/null | cut -f1 || true)) and /etc/serverkit"
    if engine_answers; then
        say "  $(ours ps -aq | wc -l) containers, $(ours network ls -q | wc -l) networks, $(ours volume ls -q | wc -l) volumes with their data"
        ours volume ls --format '    volume {{.Name}}'
    else
        say "  (Docker does not answer: containers, networks and volumes would stay)"
    fi
    [ -z "$yes" ] || return 0
    if [ ! -r /dev/tty ] || [ ! -t 1 ]; then fail "nobody is there to confirm it" "give --yes"; fi
    printf 'Go on? [y/N] '
    read -r answer </dev/tty
    case $answer in y | Y | yes) ;; *) fail "nothing was changed" ;; esac
}

purge_containers() {
    engine_answers || return 0
    ours ps -aq | xargs -r docker rm -f >/dev/null
    ours network ls -q | xargs -r docker network rm >/dev/null
    ours volume ls -q | xargs -r docker volume rm >/dev/null
    ours image ls -aq | sort -u | xargs -r docker image rm -f >/dev/null 2>&1 || true
}

main "$@"
