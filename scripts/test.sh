#!/usr/bin/env bash
# Everything CI runs, the quick to fail first.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
step "format, clippy, rustdoc, licences"
scripts/lint.sh
step "tests"
# One at a time: they kill processes and measure that nobody waits, which tests beside them would disturb on a small machine.
RUST_TEST_THREADS=1 cargo test --workspace --locked
step "fuzz targets"
scripts/fuzz.sh
step "done"
