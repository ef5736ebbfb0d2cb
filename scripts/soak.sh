#!/usr/bin/env bash
# The long tests: the same as in `make test`, with 200 kills of each kind and an hour of random work on the cache, optimised, one at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBRIDFS_TEST_KILLS="${DEBRIDFS_TEST_KILLS:-200}"
export DEBRIDFS_FUSE_TEST_KILLS="${DEBRIDFS_FUSE_TEST_KILLS:-200}"
export DEBRIDFS_TEST_CACHE_SECONDS="${DEBRIDFS_TEST_CACHE_SECONDS:-3600}"
FUZZ_MS="${FUZZ_MS:-60000}" scripts/fuzz.sh
cargo test --workspace --locked --release --lib --bins --tests --examples -- --test-threads=1
