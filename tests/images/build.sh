#!/usr/bin/env bash
# Builds the container images that the tests use, from distribution packages only: no registry of images is asked.
#
#   tests/images/build.sh [DIR]     DIR keeps what can be used again; default ${SERVERKIT_CACHE:-~/.cache/serverkit}/images
#
# The engine is the one that DOCKER_HOST names. Images that are there already stay; an engine that has none gets them
# from the archive in DIR; only the first run (or a change in this folder) builds. Wants root, for debootstrap.
# Those of the catalog's templates stand on these and come last: catalog/build.sh.
# IMAGES_MIRROR: a Debian mirror in place of deb.debian.org.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${1:-${SERVERKIT_CACHE:-$HOME/.cache/serverkit}/images}
mirror=${IMAGES_MIRROR:-http://deb.debian.org/debian}
bundle=/etc/ssl/certs/ca-certificates.crt
export DOCKER_BUILDKIT=0 DOCKER_CLI_HINTS=false

# folder -> tag; each is built FROM debian:bookworm-slim
declare -A tags=(
    [python]=python:3.11-slim
    [redis]=redis:7
    [postgres]=postgres:15
    [nginx]=nginx:1.22
    [http]=tests/http:latest
    [node]=node:20-slim
    [php]=php:8.2-apache
    [go]=golang:1.19
    [ruby]=ruby:3.1
)
# another name of one of them: what builds without a Dockerfile ask for
declare -A aliases=([nginx:stable-alpine]=nginx:1.22)
base=debian:bookworm-slim

say() { printf 'images: %s\n' "$*"; }
die() { printf 'images: %s\n' "$*" >&2; exit 1; }

needs() {
    local missing=()
    for tool in "$@"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    ((${#missing[@]} == 0)) || die "missing: ${missing[*]}; try: apt-get install -y debootstrap debian-archive-keyring zstd docker.io ca-certificates"
}

# What the images are made of: when it changes, they are made again.
inputs() {
    (cd "$here" && find . -type f ! -name '*.md' ! -path './catalog/*' -print0 | sort -z | xargs -0 sha256sum; sha256sum <"$bundle"; uname -m) | sha256sum | cut -c1-16
}

# Does the engine have this tag, made from these inputs?
has() {
    [ "$(docker image inspect --format '{{index .Config.Labels "serverkit.tests.inputs"}}' "$1" 2>/dev/null)" = "$key" ]
}

has_all() {
    local tag
    for tag in "$base" "${tags[@]}" "${!aliases[@]}"; do has "$tag" || return 1; done
}

# The root file system of a minimal Debian, as a tar on stdout.
debian_root() {
    local root
    root=$(mktemp -d "$cache/root.XXXXXX")
    trap 'rm -rf "$root"' RETURN
    mkdir -p "$cache/debs" "$root/etc/dpkg/dpkg.cfg.d"
    # Documentation stays out and fsync is skipped, as in the public slim images.
    cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<'CONF'
force-unsafe-io
path-exclude /usr/share/doc/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
CONF
    debootstrap --variant=minbase --include=ca-certificates --cache-dir="$cache/debs" bookworm "$root" "$mirror" >"$cache/debootstrap.log" 2>&1 ||
        { tail -n 20 "$cache/debootstrap.log" >&2; die "debootstrap failed; its log: $cache/debootstrap.log"; }
    cat >"$root/etc/apt/apt.conf.d/slim" <<'CONF'
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
CONF
    printf 'deb %s bookworm main\n' "$mirror" >"$root/etc/apt/sources.list"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod 755 "$root/usr/sbin/policy-rc.d"
    # The host's authorities: as the bundle, and where update-ca-certificates finds them when it writes the bundle anew.
    cp "$bundle" "$root$bundle"
    cp "$bundle" "$root/usr/local/share/ca-certificates/host.crt"
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/debootstrap "$root"/usr/share/{doc,man,info,locale}/*
    rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
    tar -C "$root" --numeric-owner --one-file-system -c .
}

make_base() {
    local archive="$cache/debian-$key.tar.zst"
    if [ ! -s "$archive" ]; then
        say "making $base with debootstrap"
        debian_root | zstd -q -1 -T0 -f -o "$archive.part"
        mv "$archive.part" "$archive"
    fi
    local set=() name
    for name in SSL_CERT_FILE PIP_CERT REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NODE_EXTRA_CA_CERTS npm_config_cafile; do
        set+=(--change "ENV $name=$bundle")
    done
    zstd -dcq "$archive" | docker import --change 'CMD ["bash"]' "${set[@]}" --change "LABEL serverkit.tests.inputs=$key" - "$base" >/dev/null
}

make() {
    local folder=$1 tag=$2 log="$cache/$1.log"
    # The host's network: the engine's own bridge may lack a way out, and a build needs the mirror only.
    docker build --network host --force-rm --label "serverkit.tests.inputs=$key" -t "$tag" "$here/$folder" >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; die "building $tag failed; its log: $log"; }
    say "made $tag"
}

needs docker flock sha256sum
docker version --format '{{.Server.Version}}' >/dev/null || die "no engine answers at ${DOCKER_HOST:-/var/run/docker.sock}"
[ -s "$bundle" ] || die "$bundle is missing; try: apt-get install -y ca-certificates"
key=$(inputs)
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9

base_images() {
    has_all && return
    needs zstd tar
    local archive="$cache/images-$key.tar.zst" folder alias job jobs=()
    if [ -s "$archive" ]; then
        say "loading from $archive"
        zstd -dcq "$archive" | docker load -q >/dev/null
        has_all && return
        say "the archive does not hold them all: building"
    fi

    needs debootstrap
    [ "$(id -u)" = 0 ] || die "debootstrap needs root: run this with sudo"
    has "$base" || make_base
    say "made $base"
    for folder in go python postgres ruby node php nginx redis http; do
        has "${tags[$folder]}" && continue
        make "$folder" "${tags[$folder]}" &
        jobs+=($!)
        # Two at a time: unpacking is bound by the cores.
        ((${#jobs[@]} < 2)) || { wait "${jobs[0]}"; jobs=("${jobs[@]:1}"); }
    done
    for job in "${jobs[@]}"; do wait "$job"; done
    for alias in "${!aliases[@]}"; do docker tag "${aliases[$alias]}" "$alias"; done
    has_all || die "some images are missing after the build"

    # What lost its name above: stages, and the images of earlier inputs.
    docker image prune -f --filter label=serverkit.tests.stage >/dev/null
    docker image prune -f --filter label=serverkit.tests.inputs >/dev/null
    # Older archives are of no use to this tree.
    docker save "$base" "${tags[@]}" "${!aliases[@]}" | zstd -q -1 -T0 -f -o "$archive.part" && mv "$archive.part" "$archive"
    find "$cache" -maxdepth 1 \( -name 'images-*.tar.zst' -o -name 'debian-*.tar.zst' \) ! -name "*$key*" -delete
}

base_images
"$here/catalog/build.sh" "$cache"
say "all there"
