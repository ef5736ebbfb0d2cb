#!/usr/bin/env bash
# The long tests: the same as in `make test`, with 200 kills of each kind an hour of random work on the mount, ten minutes on the cache alone, an hour of providers that die in turn and ten of engines
# that were taken over, optimised, one at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBRIDFS_TEST_KILLS="${DEBRIDFS_TEST_KILLS:-200}"
export DEBRIDFS_FUSE_TEST_KILLS="${DEBRIDFS_FUSE_TEST_KILLS:-200}"
export DEBRIDFS_TEST_WORK_SECONDS="${DEBRIDFS_TEST_WORK_SECONDS:-3600}"
export DEBRIDFS_TEST_HOSTILE_SECONDS="${DEBRIDFS_TEST_HOSTILE_SECONDS:-300}"
export DEBRIDFS_TEST_CACHE_SECONDS="${DEBRIDFS_TEST_CACHE_SECONDS:-600}"
export DEBRIDFS_TEST_COPIES_SECONDS="${DEBRIDFS_TEST_COPIES_SECONDS:-3600}"
FUZZ_MS="${FUZZ_MS:-60000}" scripts/fuzz.sh
cargo nextest run --workspace --locked --cargo-profile release --profile soak
