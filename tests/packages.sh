# Packages of a Debian-like machine, for the scripts that install what is missing: to be sourced, by a
# script that has set `name`, how it is called in messages. Run as root, or as a user with sudo.

die() {
    echo "$name: $*" >&2
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
    echo "$name: installing $*" >&2
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

# Installs one package that brings a service, and stops that: the tests and benches start their own.
install_without_service() {
    is_installed "$1" && return
    install "$1"
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now --quiet "$2" || die "the service $2 could not be stopped"
    fi
}
