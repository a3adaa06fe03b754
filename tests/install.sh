#!/bin/sh
# Installs what the integration tests need on a Debian-like machine: FTP servers, FTP clients and
# network tools. Run as root, or as a user with sudo. Does nothing, quickly, when all is there.
#
# Debian's FTP servers exclude each other as packages. vsftpd is installed; ProFTPD and Pure-FTPd are
# unpacked beside the build, in target/servers, and only their libraries are installed.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
proftpd=$root/target/servers/proftpd
pureftpd=$root/target/servers/pureftpd

name=tests/install.sh
# shellcheck source=tests/packages.sh
. "$root/tests/packages.sh"

proftpd_runs() {
    [ -x "$proftpd/usr/sbin/proftpd" ] && "$proftpd/usr/sbin/proftpd" -v >/dev/null 2>&1
}

# Its only way to say that it runs is to list its options.
pureftpd_runs() {
    [ -x "$pureftpd/usr/sbin/pure-ftpd" ] && "$pureftpd/usr/sbin/pure-ftpd" --help >/dev/null 2>&1
}

# Unpacks the package $1 into $2.
unpack() {
    [ "$updated" = yes ] || { apt update && updated=yes; } || die "apt-get update failed"
    work=$(mktemp -d)
    (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download "$1") ||
        die "apt-get could not download $1"
    # Names only: the libraries among its dependencies, without their versions.
    libraries=$(dpkg-deb -f "$work/$1"_*.deb Depends | tr ',' '\n' |
        sed -n 's/^ *\(lib[^ (|:]*\).*/\1/p')
    rm -rf "$2"
    mkdir -p "$2"
    dpkg-deb -x "$work/$1"_*.deb "$2"
    rm -rf "$work"
    # shellcheck disable=SC2046,SC2086 # A list of package names, one word each.
    set -- $(missing $libraries)
    [ $# -eq 0 ] || install "$@"
}

# Those that bring a service, which is stopped: the tests start their own.
services="vsftpd keepalived prometheus"
packages="
    chromium chromium-driver containernetworking-plugins curl faketime iproute2 iptables jq lftp
    logrotate nftables podman python3 python3-jsonschema python3-pyftpdlib python3-yaml runc systemd
    tnftp
"

command -v apt-get >/dev/null || die "no apt-get: this script knows Debian-like machines only. The tests need \
ProFTPD, Pure-FTPd, $services and$packages"

for service in $services; do
    install_without_service "$service" "$service"
done
# shellcheck disable=SC2046,SC2086 # Lists of package names, one word each.
set -- $(missing $packages)
[ $# -eq 0 ] || install "$@"

# Debian's only if there is none: kustomize came into kubectl as it is used here with 1.21.
command -v kubectl >/dev/null || install kubernetes-client
kubectl kustomize "$root/deploy/kubernetes/base" >/dev/null || die "kubectl is too old: 1.21 or later, please"
schemas=$root/target/kubernetes
if [ ! -d "$schemas/kubernetes_validate" ]; then
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes \
        --only-binary :all: --target "$schemas" --requirement "$root/tests/kubernetes-validate.txt" ||
        die "the schemas of the Kubernetes API could not be had from PyPI"
fi

if ! proftpd_runs; then
    unpack proftpd-core "$proftpd"
    proftpd_runs || die "the unpacked ProFTPD does not run: $("$proftpd/usr/sbin/proftpd" -v 2>&1)"
fi
if ! pureftpd_runs; then
    unpack pure-ftpd "$pureftpd"
    pureftpd_runs || die "the unpacked Pure-FTPd does not run: $("$pureftpd/usr/sbin/pure-ftpd" --help 2>&1)"
fi

for program in chromedriver chromium curl ip jq keepalived lftp logrotate nft podman prometheus promtool runc systemd-analyze systemd-socket-activate tnftp vsftpd; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || die "$program is still missing"
done
/usr/bin/python3 -c 'import ftplib, pyftpdlib' || die "/usr/bin/python3 has no pyftpdlib"
