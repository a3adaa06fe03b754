#!/bin/sh
# Installs what the integration tests need on a Debian-like machine: FTP servers, FTP clients and
# network tools. Run as root, or as a user with sudo. Does nothing, quickly, when all is there.
#
# Debian's FTP servers exclude each other as packages. vsftpd is installed; ProFTPD is unpacked beside
# the build, in target/servers, and only its libraries are installed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
proftpd=$root/target/servers/proftpd

die() {
    echo "tests/install.sh: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "run me as root: '$*' needs it and there is no sudo"
    fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

updated=no
install() {
    if [ "$updated" = no ]; then
        apt update || die "apt-get update failed: is the package mirror reachable?"
        updated=yes
    fi
    echo "tests/install.sh: installing $*" >&2
    apt install --yes --no-install-recommends "$@" >/dev/null || die "apt-get could not install: $*"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]
}

# Prints those of its arguments that are not installed.
missing() {
    for package in "$@"; do
        is_installed "$package" || echo "$package"
    done
}

proftpd_runs() {
    [ -x "$proftpd/usr/sbin/proftpd" ] && "$proftpd/usr/sbin/proftpd" -v >/dev/null 2>&1
}

unpack_proftpd() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download proftpd-core) ||
        die "apt-get could not download proftpd-core"
    # Names only: the libraries among its dependencies, without their versions.
    libraries=$(dpkg-deb -f "$work"/proftpd-core_*.deb Depends | tr ',' '\n' |
        sed -n 's/^ *\(lib[^ (|:]*\).*/\1/p')
    # shellcheck disable=SC2046,SC2086 # A list of package names, one word each.
    set -- $(missing $libraries)
    [ $# -eq 0 ] || install "$@"
    rm -rf "$proftpd"
    mkdir -p "$proftpd"
    dpkg-deb -x "$work"/proftpd-core_*.deb "$proftpd"
    proftpd_runs || die "the unpacked ProFTPD does not run: $("$proftpd/usr/sbin/proftpd" -v 2>&1)"
}

command -v apt-get >/dev/null || die "no apt-get: this script knows Debian-like machines only. The tests \
need vsftpd, ProFTPD, pyftpdlib, curl, lftp, tnftp, Python 3, iproute2 and nftables"

vsftpd_is_new=$(is_installed vsftpd && echo no || echo yes)
# shellcheck disable=SC2046 # A list of package names, one word each.
set -- $(missing vsftpd python3 python3-pyftpdlib curl lftp tnftp iproute2 nftables)
[ $# -eq 0 ] || install "$@"

# The package starts a server on port 21. The tests start their own.
if [ "$vsftpd_is_new" = yes ] && [ -d /run/systemd/system ]; then
    as_root systemctl disable --now --quiet vsftpd || die "the vsftpd service could not be stopped"
fi

if ! proftpd_runs; then
    [ "$updated" = yes ] || { apt update && updated=yes; } || die "apt-get update failed"
    unpack_proftpd
fi

for program in curl lftp tnftp vsftpd ip nft; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || die "$program is still missing"
done
/usr/bin/python3 -c 'import ftplib, pyftpdlib' || die "/usr/bin/python3 has no pyftpdlib"
