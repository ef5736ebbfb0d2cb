#!/usr/bin/env bash
# Runs every fuzz target (bolero, stable Rust) for FUZZ_MS milliseconds after its corpus. A fuzz target is a test named fuzz_*.
set -euo pipefail
cd "$(dirname "$0")/.."
export BOLERO_RANDOM_TEST_TIME_MS="${FUZZ_MS:-30000}"
export BOLERO_RANDOM_ITERATIONS=1000000000
cargo test --workspace --locked --quiet fuzz_
