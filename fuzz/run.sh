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
cargo fuzz build --sanitizer none --codegen-units 16
host=$(rustc -vV | sed -n 's/^host: //p')

# shellcheck disable=SC2046 # The names of the targets, one word each.
[ $# -gt 0 ] || set -- $(cargo fuzz list)
for target in "$@"; do
    # New inputs go to the first folder.
    found=fuzz/target/found/$target
    mkdir -p "$found" "fuzz/artifacts/$target"
    dictionary=fuzz/$target.dict
    printf '\n== %s, %s s\n' "$target" "$seconds" >&2
    # shellcheck disable=SC2046 # An option or none.
    "fuzz/target/$host/release/$target" "$found" "fuzz/corpus/$target" \
        -artifact_prefix="fuzz/artifacts/$target/" -max_total_time="$seconds" -timeout=60 \
        -print_final_stats=1 -verbosity=0 $([ ! -e "$dictionary" ] || echo "-dict=$dictionary")
done
