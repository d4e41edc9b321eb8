#!/bin/sh
# Compiles one of our own crates with LLVM's coverage for libFuzzer; `tests/fuzz/run.sh` makes cargo call it. Not its build script:
# that runs by itself, without libFuzzer to count for it.
case " $* " in
    *" --crate-name build_script_build "*) exec "$@" ;;
esac
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1
