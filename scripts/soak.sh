#!/usr/bin/env bash
# The long tests: those marked #[ignore = "soak: …"], with more rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBRIDFS_TEST_KILLS="${DEBRIDFS_TEST_KILLS:-200}"
cargo test --workspace --locked --release -- --include-ignored --test-threads=1
