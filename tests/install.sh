#!/bin/sh
# Installs what the integration tests need on a Debian-like machine: FTP servers, FTP clients and
# network tools. Run as root, or as a user with sudo. Does nothing, quickly, when all is there.
#
# Debian's FTP servers exclude each other as packages. vsftpd is installed; ProFTPD is unpacked beside
# the build, in target/servers, and only its libraries are installed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
proftpd=$root/target/servers/proftpd

name=tests/install.sh
# shellcheck source=tests/packages.sh
. "$root/tests/packages.sh"

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
need vsftpd, ProFTPD, pyftpdlib, curl, lftp, tnftp, Python 3, iproute2, nftables, faketime and systemd"

install_without_service vsftpd vsftpd
# shellcheck disable=SC2046 # A list of package names, one word each.
set -- $(missing python3 python3-pyftpdlib curl lftp tnftp iproute2 nftables faketime systemd)
[ $# -eq 0 ] || install "$@"

if ! proftpd_runs; then
    [ "$updated" = yes ] || { apt update && updated=yes; } || die "apt-get update failed"
    unpack_proftpd
fi

for program in curl lftp tnftp vsftpd ip nft systemd-analyze systemd-socket-activate; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || die "$program is still missing"
done
/usr/bin/python3 -c 'import ftplib, pyftpdlib' || die "/usr/bin/python3 has no pyftpdlib"
