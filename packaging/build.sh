#!/usr/bin/env bash
# Builds the release: one static binary, checked, with what packaging/install.sh needs beside it.
#
#   packaging/build.sh                                  for this machine
#   TARGET=aarch64-unknown-linux-gnu packaging/build.sh for another (needs its rustup target and C compiler)
#   OUT=DIR packaging/build.sh                          where the files go; else in the cache folder
set -euo pipefail
cd "$(dirname "$0")/.."

TARGET=${TARGET:-$(uname -m)-unknown-linux-gnu}
CACHE=${SERVERKIT_CACHE:-$HOME/.cache/serverkit}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
OUT=${OUT:-$CACHE/dist}
case $TARGET in
x86_64-unknown-linux-gnu | aarch64-unknown-linux-gnu) ;;
*)
    echo "build.sh: no static build for $TARGET; use x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu" >&2
    exit 2
    ;;
esac
for tool in cargo cmake cc readelf; do
    command -v "$tool" >/dev/null || {
        echo "build.sh: $tool is missing; packaging/run.sh installs what is needed to build" >&2
        exit 1
    }
done

flags="-C target-feature=+crt-static -C relocation-model=pie"
# Addresses in their short form (2.1 MB less) and functions of the same code kept once (1.3 MB less). Rust links with LLD here, which
# can; elsewhere with the system's linker, which may not.
[ "$TARGET" != x86_64-unknown-linux-gnu ] || flags+=" -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all"
# Nobody unwinds through the libraries in C from any of their instructions: the tables for that are left out.
words=${TARGET//-/_}
export "CFLAGS_$words=-fno-asynchronous-unwind-tables" "CXXFLAGS_$words=-fno-asynchronous-unwind-tables"
# --target, even for this machine: without it the flags would reach build scripts and macros, which cannot be static.
RUSTFLAGS="${RUSTFLAGS:-} $flags" \
    cargo build --release --locked -p serverkit --target "$TARGET"

built=$CARGO_TARGET_DIR/$TARGET/release/serverkit
name=serverkit-${TARGET%%-*}-linux

# A static-pie is a shared object by type (so that it can lie anywhere), with no interpreter and no libraries.
type=$(readelf -h "$built" | awk '$1 == "Type:" { print $2 }')
if [ "$type" != DYN ] || readelf -lW "$built" | grep -q INTERP || readelf -dW "$built" | grep -q NEEDED; then
    echo "build.sh: $built is not static-pie (type $type)" >&2
    readelf -dW "$built" | grep NEEDED >&2 || true
    exit 1
fi

# The templates that it carries keep all rules of a catalog. One for another machine cannot be asked, but carries the same.
if [ "${TARGET%%-*}" = "$(uname -m)" ]; then
    "$built" catalog check || {
        echo "build.sh: the catalog breaks its own rules, so this is no release" >&2
        exit 1
    }
fi

mkdir -p "$OUT"
install -m 0755 "$built" "$OUT/$name"
install -m 0644 systemd/* "$OUT/"
install -m 0755 packaging/install.sh "$OUT/install.sh"
(cd "$OUT" && sha256sum serverkit-*-linux serverkit*.service serverkit*.path install.sh >SHA256SUMS)

size=$(stat -c %s "$OUT/$name")
echo "$OUT/$name"
if command -v file >/dev/null; then file -b "$OUT/$name"; fi
awk -v size="$size" 'BEGIN { printf "size    %.1f MB (budget 60)\n", size / 1e6 }'
grep " $name\$" "$OUT/SHA256SUMS" | awk '{ print "sha256  " $1 }'
if [ "$size" -gt 60000000 ]; then
    echo "build.sh: the binary is larger than its budget of 60 MB" >&2
    [ -n "${ALLOW_LARGE:-}" ] || exit 1
fi
