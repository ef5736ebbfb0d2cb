#!/usr/bin/env bash
# The long tests in guests with Debian's kernel (crates/guest): 50 kills of the engine under readers of the mount, and under the kernel's NFS server.
set -euo pipefail
cd "$(dirname "$0")/.."
export DEBRIDFS_GUEST_TEST_KILLS="${DEBRIDFS_GUEST_TEST_KILLS:-50}"
cargo nextest run --locked --profile soak --package debridfs-guest --package debridfs -E 'binary(guest)' --no-capture
