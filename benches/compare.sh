#!/bin/sh
# Compares ftplb with HAProxy, nginx and the kernel's NAT on this machine: installs them where they are missing, builds the
# release program as its users do, runs the bench `compare`. Arguments go to it: `--quick`, a part of a row's name.
#
#   FTPLB    the program to compare, in place of one that is built
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
name=benches/compare.sh
# shellcheck source=tests/packages.sh
. "$root/tests/packages.sh"

PATH=$PATH:/usr/sbin:/sbin
if command -v apt-get >/dev/null; then
    # Other packages have these programs too, and exclude the small ones.
    command -v haproxy >/dev/null || install_without_service haproxy haproxy
    command -v nginx >/dev/null || install_without_service nginx-light nginx
    packages=$(missing libnginx-mod-stream iproute2 nftables util-linux)
    # shellcheck disable=SC2086 # A list of package names, one word each.
    [ -z "$packages" ] || install $packages
else
    echo "$name: no apt-get: what is not installed is left out" >&2
fi

cd "$root"
if [ -z "${FTPLB:-}" ]; then
    cargo build --locked --release
    # The benches bring other features of tokio, and their build takes the place of this one.
    built=${CARGO_TARGET_DIR:-target}/release/ftplb
    cp "$built" "$built.compared"
    export FTPLB="$built.compared"
fi
exec cargo bench --locked --bench compare -- "$@"
