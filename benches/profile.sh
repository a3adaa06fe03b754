#!/bin/sh
# Profiles ftplb at work, for a compiler that then knows its busy ways: profile-guided optimisation. Sessions and small
# files take less processor time with it (docs/performance.md).
#
#   benches/profile.sh
#
# Builds ftplb with counters in it, has the bench `soak` work with it for a minute, and says which RUSTFLAGS a bench takes
# to make use of what was counted. The counts fit the same sources and compiler, and what `cargo bench` builds: what
# `cargo build` makes has other features of tokio, so that nearly no count is found, and is as without.
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

own=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/llvm-profdata
for tool in "${LLVM_PROFDATA:-$own}" llvm-profdata-22 llvm-profdata-21 llvm-profdata-20 llvm-profdata-19 none; do
    command -v "$tool" >/dev/null && break
done
[ "$tool" != none ] || die "no llvm-profdata: run \`rustup component add llvm-tools\`, or install Debian's llvm-19"

folder=$PWD/target/profile
counts=$folder/counts
rm -rf "$counts"
# The bench runs ftplb as a user of its own.
mkdir -p "$counts"
chmod 1777 "$counts"
export RUSTFLAGS="-Cprofile-generate=$counts" CARGO_TARGET_DIR="$folder"
cargo bench --locked --bench soak --no-run
# Programs of the build, which have counted themselves.
rm -f "$counts"/*
LLVM_PROFILE_FILE=$folder/bench.profraw cargo bench --locked --bench soak -- --minutes 1 >&2
"$tool" merge --sparse --output "$folder/ftplb.profdata" "$counts"/*.profraw
echo "RUSTFLAGS=-Cprofile-use=$folder/ftplb.profdata"
