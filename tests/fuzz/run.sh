#!/usr/bin/env bash
# Gives each fuzz target to libFuzzer for a while, with coverage of our own crates only.
#
#   tests/fuzz/run.sh [--seconds N] [TARGET…]
#
# No nightly compiler is needed: the coverage is LLVM's, asked for with stable flags, and set for the members of the
# workspace alone, so that libraries come from the usual cache. What is found lies in
# ${SERVERKIT_CACHE:-~/.cache/serverkit}/fuzz/TARGET, beside the inputs that a next run begins with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=60 targets=()
while (($#)); do
    case $1 in
        --seconds) seconds=$2; shift ;;
        -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
        -*) echo "fuzz: no such option: $1" >&2; exit 2 ;;
        *) targets+=("$1") ;;
    esac
    shift
done

cache=${SERVERKIT_CACHE:-$HOME/.cache/serverkit}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
export RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/covered.sh
cargo build --quiet -p serverkit-fuzz --features libfuzzer
program=$CARGO_TARGET_DIR/debug/serverkit-fuzz
((${#targets[@]})) || mapfile -t targets < <(sed -n 's/^ *name: "\(.*\)",$/\1/p' tests/fuzz/lib.rs)

failed=0
for target in "${targets[@]}"; do
    home=$cache/fuzz/$target
    mkdir -p "$home/inputs"
    printf '== %s, %s s\n' "$target" "$seconds"
    SERVERKIT_FUZZ=$target "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1 \
        -artifact_prefix="$home/found-" "$home/inputs" >"$home/log" 2>&1 || { failed=$((failed + 1)); tail -n 30 "$home/log"; }
    grep -aE '^stat::number_of_executed_units|cov: [0-9]+ .*DONE' "$home/log" | sed 's/^/   /' || true
done
printf '%d targets, %d failed\n' "${#targets[@]}" "$failed"
[ "$failed" = 0 ]
