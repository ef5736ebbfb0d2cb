#!/usr/bin/env bash
# Everything CI runs, the quick to fail first.
set -euo pipefail
cd "$(dirname "$0")/.."
# A first build only pays for what makes the next one quick.
[ -d target/debug/incremental ] || export CARGO_INCREMENTAL=0
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }
step "format, clippy, rustdoc, licences"
scripts/lint.sh
step "tests"
# Which of them run alone, and which beside others: .config/nextest.toml.
cargo nextest run --workspace --locked
step "tests in documentation"
cargo test --workspace --locked --quiet --doc
step "fuzz targets"
FUZZ_MS="${FUZZ_MS:-4000}" scripts/fuzz.sh
step "done"
