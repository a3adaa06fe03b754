#!/bin/sh
# Installs what the tests need and runs all of them. Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")/.."
tests/install.sh
exec cargo test --locked "$@"
