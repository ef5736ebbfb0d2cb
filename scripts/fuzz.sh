#!/usr/bin/env bash
# Runs every fuzz target (bolero, stable Rust) for FUZZ_MS milliseconds after its corpus. A fuzz target is a test with `fuzz` in its path.
set -euo pipefail
cd "$(dirname "$0")/.."
export BOLERO_RANDOM_TEST_TIME_MS="${FUZZ_MS:-10000}"
export BOLERO_RANDOM_ITERATIONS=1000000000
targets=$(cargo nextest list --workspace --locked --message-format oneline -E 'test(fuzz)' | grep -c .)
[ "$targets" -ge 26 ] || { echo "only $targets fuzz targets found" >&2; exit 1; }
echo "$targets fuzz targets, $BOLERO_RANDOM_TEST_TIME_MS ms each"
cargo nextest run --workspace --locked -E 'test(fuzz)'
