#!/bin/sh
# Profiles ftplb at work, for a compiler that then knows its busy ways: profile-guided optimisation. Sessions and small
# files take less processor time with it (docs/performance.md).
#
#   benches/profile.sh [ARGUMENT...]
#
# Builds ftplb with counters in it, as `cargo build --release ARGUMENT...` does, has the bench `soak` work with it for a
# minute, and says which RUSTFLAGS make use of what was counted. The counts fit the same sources, compiler and arguments:
# with others the names of functions differ, no count is found, and what is built is as without.
#
# Needs `llvm-profdata`, of the compiler (`rustup component add llvm-tools`) or not much older (Debian: llvm-19).
#
#   LLVM_PROFDATA    that program, where it is not found
set -eu
cd "$(dirname "$0")/.."

die() {
    echo "$0: $*" >&2
    exit 1
}

host=$(rustc -vV | sed -n 's/^host: //p')
own=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
for tool in "${LLVM_PROFDATA:-$own}" llvm-profdata-22 llvm-profdata-21 llvm-profdata-20 llvm-profdata-19 none; do
    command -v "$tool" >/dev/null && break
done
[ "$tool" != none ] || die "no llvm-profdata: run \`rustup component add llvm-tools\`, or install Debian's llvm-19"

folder=$PWD/target/profile
counts=$folder/counts
# With `--target` the program stands in a folder of that name: the one that is there afterwards is the one.
rm -rf "$counts" "$folder/release/ftplb" "$folder"/*/release/ftplb
# The bench runs ftplb as a user of its own.
mkdir -p "$counts"
chmod 1777 "$counts"
RUSTFLAGS="-Cprofile-generate=$counts" CARGO_TARGET_DIR=$folder cargo build --locked --release "$@"
program=$(ls "$folder/release/ftplb" "$folder"/*/release/ftplb 2>/dev/null || true)
cargo bench --locked --bench soak --no-run
# Programs of the build, which have counted themselves.
rm -f "$counts"/*
FTPLB=$program cargo bench --locked --bench soak -- --minutes 1 >&2
"$tool" merge --sparse --output "$folder/ftplb.profdata" "$counts"/*.profraw
echo "RUSTFLAGS=-Cprofile-use=$folder/ftplb.profdata"
