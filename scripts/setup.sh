#!/usr/bin/env bash
# Installs what a target of the Makefile needs and does nothing when it is there. Usage: scripts/setup.sh demo|test|bench|packages|image
# `packages` is the Debian part of `test`, `image` all of it where an image is built, which has no devices.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

command -v cargo >/dev/null || fail "no Rust toolchain: install rustup, then run this again"

packages=(fuse3 gcc libc6-dev make)
case "${1:-}" in
  demo) packages+=(ffmpeg) ;;
  test | packages | image) packages+=(libarchive-tools ffmpeg qbittorrent-nox chromium chromium-driver curl attr procps util-linux iproute2 python3-venv
                  containerd runc busybox-static systemd)
    # Some releases have it in util-linux.
    command -v fincore >/dev/null || packages+=(util-linux-extra) ;;
  bench) packages+=(ffmpeg curl procps util-linux iproute2) ;;
  *) fail "usage: scripts/setup.sh demo|test|bench|packages|image" ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ "$1" = packages ]; then exit 0; fi
[ "$1" = image ] || [ -e /dev/fuse ] || as_root modprobe fuse || fail "/dev/fuse is missing: load the kernel module 'fuse', or give this container the device"

if [ "$1" = test ] || [ "$1" = image ]; then
  # Debian's own kubectl is too old to build what is in deploy/.
  if ! kubectl kustomize --help >/dev/null 2>&1 && [ ! -x target/tools/bin/kustomize ]; then
    command -v go >/dev/null || fail "no kustomize 5: install kubectl 1.27 or newer (https://kubernetes.io/docs/tasks/tools/), or Go 1.22 or newer to build it"
    echo "setup: building kustomize"
    GOBIN=$PWD/target/tools/bin go install sigs.k8s.io/kustomize/kustomize/v5@v5.5.0
  fi
  rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy rustfmt
  # cargo-deny is the one tool that cargo has to build; its version is pinned, so that a new release cannot break the check.
  deny=0.20.2
  if [ "$(target/tools/bin/cargo-deny --version 2>/dev/null)" != "cargo-deny $deny" ]; then
    echo "setup: building cargo-deny $deny"
    CARGO_TARGET_DIR=$PWD/target/tools/build cargo install --quiet --locked --root target/tools --version "$deny" cargo-deny
    rm -rf target/tools/build
  fi
  # What most tools that speak to a qBittorrent are built on; pinned, as a new release cannot break the check then.
  client=2026.10.1
  python=target/tools/python
  if [ "$($python/bin/python -c 'import importlib.metadata as m; print(m.version("qbittorrent-api"))' 2>/dev/null)" != "$client" ]; then
    echo "setup: installing qbittorrent-api $client"
    python3 -m venv --clear "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check "qbittorrent-api==$client"
  fi
fi

if [ "$1" = bench ]; then
  if [ ! -x target/tools/bin/rclone ] && command -v go >/dev/null; then
    echo "setup: building the newest rclone"
    GOBIN=$PWD/target/tools/bin go install github.com/rclone/rclone@latest || true
  fi
  if [ ! -x target/tools/bin/rclone ] && ! command -v rclone >/dev/null; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rclone >/dev/null
  fi
fi
