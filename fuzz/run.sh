#!/bin/sh
# Fuzzes: fuzz/run.sh [SECONDS [TARGET ...]], each target for so long, a minute unless told.
#
# Installs cargo-fuzz where it is missing; a nightly toolchain is not needed. What is new goes to
# fuzz/target/found, and what breaks a target to fuzz/artifacts. docs/fuzzing.md tells what to do with it.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:-60}
[ $# -eq 0 ] || shift

# The flags that cargo-fuzz builds with are unstable; this makes the stable compiler take them.
export RUSTC_BOOTSTRAP=1
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz@0.13.2

# There is no unsafe code for a sanitizer to watch, and without one there are twice as many inputs.
build="--sanitizer none --codegen-units 16"

# shellcheck disable=SC2086 # Options, one word each.
cargo fuzz build $build
[ $# -gt 0 ] || set -- $(cargo fuzz list)
for target in "$@"; do
    found=fuzz/target/found/$target
    mkdir -p "$found"
    dictionary=fuzz/$target.dict
    printf '\n== %s, %s s\n' "$target" "$seconds" >&2
    # shellcheck disable=SC2046,SC2086 # Options, one word each.
    cargo fuzz run $build "$target" "$found" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -timeout=60 -print_final_stats=1 -verbosity=0 \
        $([ ! -e "$dictionary" ] || echo "-dict=$dictionary")
done
