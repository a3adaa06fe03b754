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

# Those that bring a service, which is stopped: the tests start their own.
services="vsftpd keepalived prometheus"
packages="
    chromium chromium-driver containernetworking-plugins curl faketime iproute2 iptables jq lftp
    logrotate nftables podman python3 python3-jsonschema python3-pyftpdlib python3-yaml runc systemd
    tnftp
"

command -v apt-get >/dev/null || die "no apt-get: this script knows Debian-like machines only. The tests need \
ProFTPD, $services and$packages"

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
    [ "$updated" = yes ] || { apt update && updated=yes; } || die "apt-get update failed"
    unpack_proftpd
fi

for program in chromedriver chromium curl ip jq keepalived lftp logrotate nft podman prometheus promtool runc systemd-analyze systemd-socket-activate tnftp vsftpd; do
    PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || die "$program is still missing"
done
/usr/bin/python3 -c 'import ftplib, pyftpdlib' || die "/usr/bin/python3 has no pyftpdlib"
