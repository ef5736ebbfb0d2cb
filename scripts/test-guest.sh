#!/usr/bin/env bash
# The long tests in guests with Debian's kernel (crates/guest): 50 kills of the engine under readers of the mount, and under the kernel's NFS server; the suite of
# crates/behaviour over what the guest mounts; four films larger than the guest's memory over our NFS server, which is killed ten times and replaced once.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBRIDFS_GUEST_TEST_KILLS="${DEBRIDFS_GUEST_TEST_KILLS:-50}"
export DEBRIDFS_GUEST_TEST_SERVER_KILLS="${DEBRIDFS_GUEST_TEST_SERVER_KILLS:-10}"
export DEBRIDFS_GUEST_TEST_FILM_MIB="${DEBRIDFS_GUEST_TEST_FILM_MIB:-300}"
cargo nextest run --locked --profile soak --package debridfs-guest --package debridfs --run-ignored all -E 'binary(guest) | test(/^guests::/)' --no-capture
