#!/bin/sh
# Builds ftplb as a static program and puts it into a container image of its own. Nothing is pulled.
#
#   deploy/container/build.sh [TAG]
#
# Needs Rust, a C compiler with its static libc (Debian: gcc, libc6-dev), Python 3, and one of podman, buildah and docker.
#
#   TAG              what the image is called: ftplb unless given
#   BUILDER          podman, buildah or docker, with options of its own: the first that is there
#   PROFILE          a profile of Cargo: release; dev builds faster
#   TARGET           what it is built for: this machine. For aarch64-unknown-linux-gnu on another machine it takes
#                    `rustup target add aarch64-unknown-linux-gnu`, Debian's gcc-aarch64-linux-gnu, and
#                    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
#   PROFILED         yes: made for what it does most, by counts of a minute's work. A quarter of an hour longer to
#                    build, less processor time for sessions and small files (docs/performance.md). Takes llvm-profdata,
#                    see benches/profile.sh.
#
# The same sources and tools give the same layer of files: times are those of the commit, or SOURCE_DATE_EPOCH. Counts
# differ each time, so this does not hold for PROFILED.
set -eu
cd "$(dirname "$0")/../.."

die() {
    echo "$0: $*" >&2
    exit 1
}

tag=${1:-ftplb}
profile=${PROFILE:-release}
host=$(rustc -vV | sed -n 's/^host: //p')
target=${TARGET:-$host}
if [ -z "${BUILDER:-}" ]; then
    for BUILDER in podman buildah docker none; do
        command -v "$BUILDER" >/dev/null && break
    done
    [ "$BUILDER" != none ] || die "there is neither podman nor buildah nor docker: install one, or name it by BUILDER"
fi
case $target in
x86_64-*-linux-*) platform=linux/amd64 ;;
aarch64-*-linux-*) platform=linux/arm64 ;;
*) die "images for $target are not known here: set TARGET to x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu" ;;
esac
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --pretty=%ct 2>/dev/null || echo 0)
fi
export SOURCE_DATE_EPOCH

# Names of functions stay, for backtraces; lines are left out, which would be most of its size.
set -- --no-default-features --target "$target" --config "profile.$profile.debug=false"
use=
case ${PROFILED:-no} in
no) ;;
yes)
    [ "$target" = "$host" ] || die "PROFILED takes a machine that can run it: $target can not be profiled on $host"
    [ "$profile" = release ] || die "PROFILED is for the profile release, not for $profile"
    use=$(benches/profile.sh "$@")
    use=${use#RUSTFLAGS=}
    ;;
*) die "PROFILED is yes or no, not ${PROFILED}" ;;
esac

# Flags one by one, parted by an unusual byte, so that paths may hold spaces. Whose machine it was is not written in it.
CARGO_ENCODED_RUSTFLAGS=$(printf '%s\037' \
    ${use:+"$use"} \
    -Ctarget-feature=+crt-static \
    "--remap-path-prefix=$PWD=ftplb" \
    "--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo")
CARGO_ENCODED_RUSTFLAGS=${CARGO_ENCODED_RUSTFLAGS%?}
export CARGO_ENCODED_RUSTFLAGS
cargo build --locked --profile "$profile" "$@"

case $profile in
dev) folder=debug ;;
*) folder=$profile ;;
esac
built=${CARGO_TARGET_DIR:-target}
context=$built/container
mkdir -p "$context"
python3 deploy/container/layer.py "$built/$target/$folder/ftplb" "$SOURCE_DATE_EPOCH" >"$context/root.tar"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Podman's own format knows no health check.
case $BUILDER in
*docker*) format= ;;
*) format="--format docker --layers=false --timestamp $SOURCE_DATE_EPOCH" ;;
esac
# shellcheck disable=SC2086 # Words with options.
$BUILDER build $format --platform "$platform" --build-arg "VERSION=$version" --tag "$tag" \
    --file deploy/container/Containerfile "$context"
printf '%s: %s MB of files\n' "$tag" "$(awk -v bytes="$(wc -c <"$context/root.tar")" 'BEGIN { printf "%.1f", bytes / 1e6 }')"
