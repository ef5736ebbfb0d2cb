#!/usr/bin/env bash
# Installs what a target of the Makefile needs and does nothing when it is there. Usage: scripts/setup.sh demo|test|bench|coverage|packages|image
# `packages` is the Debian part of `test`, `image` all of it where an image is built, which has no devices.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Tools that have to be built stay in the user's cache, so that a second checkout does not build them again. Their versions are pinned: a new release
# cannot break the check.
cache=${XDG_CACHE_HOME:-$HOME/.cache}/debridfs
tool() { # NAME VERSION BUILD [ARGUMENT…]: BUILD NAME VERSION DIR ARGUMENT… leaves DIR/bin/NAME
  local dir=$cache/$1-$2
  if [ ! -x "$dir/bin/$1" ]; then
    echo "setup: building $1 $2"
    mkdir -p "$dir/bin"
    "$3" "$1" "$2" "$dir" "${@:4}"
  fi
  mkdir -p target/tools/bin
  ln -sfn "$dir/bin/$1" "target/tools/bin/$1"
}
cargo_install() { # NAME VERSION DIR [ARGUMENT…]
  local build
  build=$(mktemp -d)
  CARGO_TARGET_DIR=$build cargo install --quiet --locked --root "$3" --version "$2" "${@:4}" "$1"
  rm -r "$build"
}
build_kustomize() { GOBIN=$3/bin go install "sigs.k8s.io/kustomize/kustomize/v5@v$2"; } # NAME VERSION DIR

command -v cargo >/dev/null || fail "no Rust toolchain: install rustup, then run this again"

packages=(fuse3 gcc libc6-dev make)
case "${1:-}" in
  demo) packages+=(ffmpeg) ;;
  test | packages | image) packages+=(libarchive-tools ffmpeg qbittorrent-nox chromium chromium-driver curl attr libnfs-utils procps util-linux iproute2 python3-venv nodejs rclone
                  containerd runc busybox-static systemd apparmor
                  qemu-system-x86 binutils samba smbclient
                  cadaver davfs2 litmus)
    # Some releases have it in util-linux.
    command -v fincore >/dev/null || packages+=(util-linux-extra) ;;
  bench) packages+=(ffmpeg curl procps util-linux iproute2 libnfs-utils) ;;
  coverage) ;;
  *) fail "usage: scripts/setup.sh demo|test|bench|coverage|packages|image" ;;
esac

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  as_root apt-get update -qq
  # The tests start Samba by themselves: no share of this machine comes with it.
  masked=()
  if [[ " ${missing[*]} " == *" samba "* ]]; then
    for unit in smbd nmbd samba-ad-dc; do
      [ -e "/etc/systemd/system/$unit.service" ] || masked+=("/etc/systemd/system/$unit.service")
    done
    as_root mkdir -p /etc/systemd/system
    for unit in "${masked[@]}"; do as_root ln -s /dev/null "$unit"; done
  fi
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ "$1" = packages ]; then exit 0; fi
[ "$1" = image ] || [ -e /dev/fuse ] || as_root modprobe fuse || fail "/dev/fuse is missing: load the kernel module 'fuse', or give this container the device"

unpack() { # DIR PACKAGE…: Debian's packages, unpacked in DIR/root and not installed
  rm -rf "$1" && mkdir -p "$1/packages"
  as_root apt-get update -qq
  (cd "$1/packages" && apt-get download -qq "${@:2}" 2>&1 | { grep -v '^W: Download is performed unsandboxed' || true; }) || return 1
  for package in "$1"/packages/*.deb; do dpkg -x "$package" "$1/root"; done
  rm -r "$1/packages"
}

# `fusermount` of FUSE 2, whose package conflicts with fuse3.
fuse2() {
  [ -x "$cache/fuse2/root/bin/fusermount" ] || unpack "$cache/fuse2" fuse || return 1
  mkdir -p target/tools
  ln -sfn "$cache/fuse2/root" target/tools/fuse2
}

# The guest of crates/guest: a kernel and programs that are unpacked, never installed, as installing them changes how this machine boots and what it serves.
guest_packages=(nfs-kernel-server nfs-common rpcbind cifs-utils netbase libtirpc-common libtirpc3 libwrap0 libkeyutils1 libcap-ng0 libevent-core-2.1-7 libcom-err2 libselinux1)
guest() {
  local kernel dir
  kernel=$(apt-cache depends --important linux-image-amd64 | awk '$1 == "Depends:" { print $2; exit }')
  # Without package lists what was unpacked once is good enough.
  dir=$cache/guest-${kernel:-none}
  [ -n "$kernel" ] || dir=$(find "$cache" -maxdepth 1 -name 'guest-linux-image-*' | sort | tail -n 1)
  if [ "$(cat "$dir/done" 2>/dev/null)" != "${guest_packages[*]}" ]; then
    [ -n "$kernel" ] || fail "no package linux-image-amd64: the test guest wants Debian's kernel for x86-64; apt-get update, then run this again"
    echo "setup: unpacking $kernel for the test guest"
    unpack "$dir" "$kernel" "${guest_packages[@]}"
    # Written when a kernel is installed, which this one is not.
    busybox depmod -b "$dir/root" "${kernel#linux-image-}"
    echo "${guest_packages[*]}" >"$dir/done"
  fi
  mkdir -p target/tools
  ln -sfn "$dir/root" target/tools/guest
}

# Debian's Prometheus with promtool: unpacked, as installed it would serve.
prometheus() {
  local dir=$cache/prometheus
  if [ ! -e "$dir/done" ]; then
    echo "setup: unpacking Prometheus"
    rm -rf "$dir" && mkdir -p "$dir/packages"
    as_root apt-get update -qq
    (cd "$dir/packages" && apt-get download -qq prometheus 2>&1 | { grep -v '^W: Download is performed unsandboxed' || true; })
    dpkg -x "$dir"/packages/prometheus_*.deb "$dir/root"
    rm -r "$dir/packages"
    touch "$dir/done"
  fi
  mkdir -p target/tools/bin
  for program in prometheus promtool; do ln -sfn "$dir/root/usr/bin/$program" "target/tools/bin/$program"; done
}

# Needs a toolchain of rustup's, whose LLVM reads what its compiler wrote: Debian's is older.
if [ "$1" = coverage ]; then
  command -v rustup >/dev/null || fail "coverage needs rustup's component llvm-tools: install rustup, then run this again"
  rustup component list --installed 2>/dev/null | grep -q llvm-tools || rustup component add llvm-tools
  tool cargo-llvm-cov 0.9.1 cargo_install
  tool cargo-nextest 0.9.151 cargo_install --no-default-features --features default-no-update
fi

if [ "$1" = test ] || [ "$1" = image ]; then
  guest
  fuse2 || echo "setup: no fusermount of FUSE 2 here (Debian's package fuse): its test takes that of FUSE 3 by this name"
  prometheus
  # Debian's own kubectl is too old to build what is in deploy/.
  if ! kubectl kustomize --help >/dev/null 2>&1; then
    command -v go >/dev/null || fail "no kustomize 5: install kubectl 1.27 or newer (https://kubernetes.io/docs/tasks/tools/), or Go 1.22 or newer to build it"
    tool kustomize 5.5.0 build_kustomize
  fi
  rustup component list --installed 2>/dev/null | grep -q clippy || rustup component add clippy rustfmt
  tool cargo-deny 0.20.2 cargo_install
  tool cargo-nextest 0.9.151 cargo_install --no-default-features --features default-no-update
  # Clients that others wrote, for what they speak to: a qBittorrent, TorBox, AllDebrid. Pinned, as a new release cannot break the check then.
  clients=(qbittorrent-api==2026.10.1 torbox-api==1.0.6 alldebrid==0.3.0)
  python=target/tools/python
  there=$("$python/bin/pip" --disable-pip-version-check freeze 2>/dev/null || true)
  for client in "${clients[@]}"; do
    if ! grep -qixF "$client" <<<"$there"; then
      echo "setup: installing ${clients[*]}"
      python3 -m venv --clear "$python"
      "$python/bin/pip" install --quiet --disable-pip-version-check "${clients[@]}"
      break
    fi
  done
  # The same in Node.js.
  client=premiumize-api@1.0.3
  node=target/tools/node
  if [ "$(cat "$node/installed" 2>/dev/null)" != "$client" ]; then
    command -v npm >/dev/null || as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends npm >/dev/null
    echo "setup: installing $client"
    mkdir -p "$node"
    npm install --silent --no-audit --no-fund --no-package-lock --prefix "$node" "$client"
    printf '%s\n' "$client" >"$node/installed"
  fi
  # Clients of our own API, in a Python of their own as they bring many packages.
  clients=(schemathesis==4.32.5 openapi-spec-validator==0.9.0 openapi-python-client==0.29.1 mcp==2.3.0)
  python=target/tools/api
  if [ "$(cat "$python/installed" 2>/dev/null)" != "${clients[*]}" ]; then
    echo "setup: installing ${clients[*]}"
    python3 -m venv --clear "$python"
    "$python/bin/pip" install --quiet --disable-pip-version-check "${clients[@]}"
    printf '%s\n' "${clients[*]}" >"$python/installed"
  fi
fi

# Debian's NFS-Ganesha and nginx, and what they need, to compare with: unpacked, as installed they would serve. Without one the benchmark says that its rows are missing.
ganesha_packages=(nfs-ganesha nfs-ganesha-vfs rpcbind netbase libtirpc-common libtirpc3 libwrap0 libntirpc4.3 liburcu8 libnfsidmap1 libwbclient0 libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libcom-err2 libdbus-1-3)
nginx_packages=(nginx libpcre2-8-0 libssl3 zlib1g libcrypt1)
unpacked() { # NAME PACKAGE…: leaves them in target/tools/NAME
  local dir=$cache/$1
  if [ "$(cat "$dir/done" 2>/dev/null)" != "${*:2}" ]; then
    echo "setup: unpacking $1 for the benchmark"
    rm -rf "$dir" && mkdir -p "$dir/packages"
    as_root apt-get update -qq
    (cd "$dir/packages" && apt-get download -qq "${@:2}" 2>&1 | { grep -v '^W: Download is performed unsandboxed' || true; }) || return 1
    for package in "$dir"/packages/*.deb; do dpkg -x "$package" "$dir/root"; done
    rm -r "$dir/packages"
    echo "${*:2}" >"$dir/done"
  fi
  mkdir -p target/tools
  ln -sfn "$dir/root" "target/tools/$1"
}

if [ "$1" = bench ]; then
  unpacked ganesha "${ganesha_packages[@]}" || echo "setup: no NFS-Ganesha here (Debian 12 has it): its rows will be missing"
  unpacked nginx "${nginx_packages[@]}" || echo "setup: no nginx here (Debian has it): its rows will be missing"
  if [ ! -x target/tools/bin/rclone ] && command -v go >/dev/null; then
    echo "setup: building the newest rclone"
    GOBIN=$PWD/target/tools/bin go install github.com/rclone/rclone@latest || true
  fi
  if [ ! -x target/tools/bin/rclone ] && ! command -v rclone >/dev/null; then
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rclone >/dev/null
  fi
fi
