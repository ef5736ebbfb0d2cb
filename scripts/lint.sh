#!/usr/bin/env bash
# Format, lints, documentation, licences and sources: each a failure, none a warning.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all --check
cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
# All crates of all targets have to be here for what follows, which asks nobody.
cargo fetch --locked --quiet
# Advisories are asked for by `make advisories`, which needs the network; this check must pass without.
cargo deny --offline --log-level error check bans licenses sources
for script in scripts/*.sh .ci/run; do bash -n "$script"; done
