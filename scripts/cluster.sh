#!/usr/bin/env bash
# A real Kubernetes of one node on this machine, to run deploy/ on: its programs built from their Go modules, etcd, containerd, runc, CNI and busybox of Debian.
# It has mounts, processes and a network of its own; what it writes is in $CLUSTER (target/cluster).
#   scripts/cluster.sh build            compiles Kubernetes, once (Go 1.24; half an hour on two processors)
#   scripts/cluster.sh up               starts the node `w2`, and waits until it is ready
#   scripts/cluster.sh run COMMAND…     runs a command there (kubectl, ctr, a shell)
#   scripts/cluster.sh image TAG FILE   makes FILE, a build of debridfs, the image ghcr.io/debridfs/debridfs:TAG
#   scripts/cluster.sh down             ends it all; what was built stays
set -euo pipefail
self=$(readlink -f "$0")
dir=${CLUSTER:-$(dirname "$self")/../target/cluster}
mkdir -p "$dir" && dir=$(readlink -f "$dir")
version=1.34.4
address=10.99.0.1
# Pods are in this control group (of every hierarchy): children of it, where the machine's root is not to be used.
group=${CLUSTER_GROUP:-/debridfs-cluster}
fail() { printf 'cluster: %s\n' "$*" >&2; exit 1; }

build() (
  command -v go >/dev/null || fail "no Go: 1.24 or newer is needed"
  mkdir -p "$dir/build" && cd "$dir/build"
  {
    printf 'module cluster\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n' "$version"
    # Of these modules the requirements say v0.0.0, and a `replace` counts in the main module only.
    for module in api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap code-generator component-base \
      component-helpers controller-manager cri-api cri-client csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator \
      kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils pod-security-admission sample-apiserver sample-cli-plugin sample-controller; do
      printf 'replace k8s.io/%s => k8s.io/%s v0.%s\n' "$module" "$module" "${version#1.}"
    done
  } >go.mod
  # Without it the node says v0.0.0.
  local flags="-s -w" package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=v$version -X $package.gitMajor=1 -X $package.gitMinor=34"
  done
  for program in kubelet kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl; do
    CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "$flags" -o "$dir/bin/" "k8s.io/kubernetes/cmd/$program"
  done
)

# An image as `docker save` writes it: the files of a directory, and what it runs.
import() { # ROOT NAME ENTRYPOINT
  local work sum
  work=$(mktemp -d)
  tar --numeric-owner --owner=0 --group=0 -cf "$work/layer.tar" -C "$1" .
  sum=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":%s,"Env":["PATH=/usr/local/bin:/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(dpkg --print-architecture)" "$3" "$sum" >"$work/config.json"
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$2" >"$work/manifest.json"
  tar -cf "$dir/image.tar" -C "$work" config.json manifest.json layer.tar
  run ctr --namespace k8s.io images import "$dir/image.tar"
  rm -r "$work" "$dir/image.tar" "$1"
}

image() { # TAG FILE
  local root
  root=$(mktemp -d)
  install -D "$2" "$root/usr/local/bin/debridfs"
  install -d -m 1777 "$root/tmp"
  # Nothing, if it is static.
  for library in $(ldd "$2" | grep -o '/[^ ]*' || true); do install -D "$library" "$root$library"; done
  import "$root" "ghcr.io/debridfs/debridfs:$1" '["/usr/local/bin/debridfs"]'
}

# A cluster that nobody can reach from outside: tokens, one key, and the certificate that the apiserver makes for itself.
configure() (
  mkdir -p "$dir"/{etc/cni,mnt,lib,log,pods} && cd "$dir/etc"
  openssl genrsa -out accounts.key 2048 2>/dev/null
  : >tokens.csv
  local user token groups
  for user in admin system:node:w2 system:kube-controller-manager system:kube-scheduler system:kube-proxy; do
    token=$(openssl rand -hex 16)
    case $user in admin) groups=system:masters ;; system:node:*) groups=system:nodes ;; *) groups= ;; esac
    echo "$token,$user,$user,\"$groups\"" >>tokens.csv
    cat >"${user##*:}.kubeconfig" <<EOF
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {token: $token}}]
clusters: [{name: c, cluster: {server: "https://$address:6443", certificate-authority: /run/k/apiserver.crt}}]
EOF
  done
  # No eviction and no images removed, however full this machine is.
  cat >kubelet.yaml <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupRoot: $group
enforceNodeAllocatable: [none]
evictionHard: {memory.available: 1Mi, nodefs.available: 0%, imagefs.available: 0%}
failSwapOn: false
imageGCHighThresholdPercent: 100
oomScoreAdj: 0
podLogsDir: $dir/pods
resolvConf: ""
volumePluginDir: $dir/lib/plugins
EOF
  cat >containerd.toml <<EOF
version = 2
root = "$dir/containerd"
state = "/run/containerd"
[plugins."io.containerd.internal.v1.opt"]
  path = "$dir/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/busybox:1"
  # Where it may not be lowered, sandboxes would not start.
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$dir/etc/cni"
EOF
  # Each pod behind a link of its own: no bridge, of which the packet filter would have to know.
  cat >cni/pods.conflist <<EOF
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.98.0.0/16"}]],
 "routes": [{"dst": "0.0.0.0/0"}]}}]}
EOF
)

# The first process of the node: mounts, network, programs, each started again when it ends, as systemd does.
node() {
  hostname w2
  mount --make-rshared /
  mount --bind "$dir/mnt" /mnt
  mount --bind "$dir/log" /var/log
  mount -t tmpfs none /run
  mkdir -p /run/k
  mount --bind "$dir/lib" /var/lib
  ip link set lo up
  ip link add eth0 type veth peer name wire
  ip address add "$address/24" dev eth0
  ip link set wire up && ip link set eth0 up
  ip route add default via 10.99.0.254
  sysctl -qw net.ipv4.ip_forward=1
  local bin=$dir/bin etc=$dir/etc
  keep() { while :; do "${@:2}" >>"$dir/log/$1.log" 2>&1 || true; sleep 1; done & }
  keep etcd etcd --data-dir /var/lib/etcd --log-level error --logger zap
  keep apiserver "$bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address=$address --secure-port=6443 --service-cluster-ip-range=10.96.0.0/16 \
    --token-auth-file="$etc/tokens.csv" --authorization-mode=Node,RBAC --kubelet-preferred-address-types=InternalIP --enable-admission-plugins=NodeRestriction --allow-privileged=true \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$etc/accounts.key" --service-account-signing-key-file="$etc/accounts.key" --cert-dir=/run/k
  keep containerd containerd --config "$etc/containerd.toml"
  keep controllers "$bin/kube-controller-manager" --kubeconfig="$etc/kube-controller-manager.kubeconfig" --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file="$etc/accounts.key" --root-ca-file=/run/k/apiserver.crt --cert-dir=/run/k --flex-volume-plugin-dir=/run/k
  keep scheduler "$bin/kube-scheduler" --kubeconfig="$etc/kube-scheduler.kubeconfig" --leader-elect=false --cert-dir=/run/k
  keep kubelet "$bin/kubelet" --kubeconfig="$etc/w2.kubeconfig" --config="$etc/kubelet.yaml" --node-ip=$address --cert-dir=/run/k
  keep proxy "$bin/kube-proxy" --kubeconfig="$etc/kube-proxy.kubeconfig" --proxy-mode=nftables --conntrack-max-per-core=0 --oom-score-adj=0
  wait
}

first() { cat "$dir/pid" 2>/dev/null || fail "it is not up"; }

run() {
  local children
  children=$(cat "/proc/$(first)/task/$(first)/children" 2>/dev/null) || fail "it is not up"
  KUBECONFIG=$dir/etc/admin.kubeconfig PATH=$dir/bin:$PATH nsenter --wdns="$PWD" --mount --net --uts --pid --target "${children% }" "$@"
}

up() {
  [ "$(id -u)" = 0 ] || fail "it makes namespaces and mounts: as root"
  [ ! -e "$dir/pid" ] || fail "it is up, or was not ended by \`down\`"
  for program in etcd containerd runc busybox openssl nft ip "$dir/bin/kube-proxy"; do
    command -v "$program" >/dev/null || fail "no $program: apt-get install etcd-server containerd runc containernetworking-plugins busybox-static nftables openssl; $0 build"
  done
  configure
  for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/*/; do [ ! -e "$hierarchy/cgroup.procs" ] || mkdir -p "$hierarchy/$group"; done
  setsid unshare --mount --propagation private --net --uts --pid --fork --kill-child --mount-proc bash "$self" node >"$dir/node.log" 2>&1 </dev/null &
  echo $! >"$dir/pid"
  local deadline=$((SECONDS + 300))
  until run test -S /run/containerd/containerd.sock 2>/dev/null; do [ $SECONDS -lt $deadline ] || fail "no containerd: $dir/log"; sleep 1; done
  local root
  root=$(mktemp -d)
  install -D "$(command -v busybox)" "$root/bin/busybox"
  for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  import "$root" localhost/busybox:1 '["/bin/sleep","1000000"]'
  until run kubectl wait --for=condition=Ready node/w2 --timeout=10s 2>/dev/null; do [ $SECONDS -lt $deadline ] || fail "no node: $dir/log"; sleep 1; done
}

down() {
  kill -KILL "$(first)" 2>/dev/null || true
  rm "$dir/pid"
  local deadline=$((SECONDS + 60)) groups
  # The processes of pods end with their namespace; then their groups can go.
  while groups=$(find /sys/fs/cgroup -path "/sys/fs/cgroup*$group*" -depth -type d 2>/dev/null) && [ -n "$groups" ]; do
    xargs rmdir 2>/dev/null <<<"$groups" || true
    [ $SECONDS -lt $deadline ] || fail "control groups are left: $groups"
    sleep 0.2
  done
  chattr -R -f -i "$dir/mnt" || true
  rm -rf "$dir"/{containerd,etc,mnt,lib,log,pods,node.log}
}

case "${1:-}" in
  build | up | down | node) "$1" ;;
  run) [ $# -gt 1 ] || fail "run COMMAND…"; shift; run "$@" ;;
  image) [ $# = 3 ] || fail "image TAG FILE"; image "$2" "$3" ;;
  *) fail "build, up, run, image or down" ;;
esac
