#!/bin/sh
# Counts the instructions of the parsers and the session machine, and compares them with what is committed:
# installs valgrind where it is missing, runs the bench `instructions`. Arguments go to it: `--accept`, a part
# of a name.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
name=benches/instructions.sh
# shellcheck source=tests/packages.sh
. "$root/tests/packages.sh"

if ! command -v valgrind >/dev/null; then
    command -v apt-get >/dev/null || die "no valgrind, and no apt-get to install it"
    install valgrind
fi

cd "$root"
exec cargo bench --locked --bench instructions -- "$@"
