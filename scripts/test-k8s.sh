#!/usr/bin/env bash
# What readers see on a real Kubernetes while deploy/kustomize/streaming is killed, replaced and misconfigured: docs/deployment.md has the figures.
#   scripts/test-k8s.sh [EVENT…]     all events, or those named; `list` names them
# The cluster is that of scripts/cluster.sh ($CLUSTER), which is brought up if it is not, and stays.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
mkdir -p "${CLUSTER:=$here/../target/cluster}"
CLUSTER=$(readlink -f "$CLUSTER")
export CLUSTER
target=$here/../target/debug
# /var/lib/test on the node, and what lies there below the mount, seen from outside.
work=$CLUSTER/lib/test below=$CLUSTER/mnt/dfs
streaming=$(realpath -m --relative-to="$work/overlay" "$here/../deploy/kustomize/streaming")
film=Film.2024.1080p hash=00112233445566778899aabbccddeeff00112233
# keeper.linger, and what a pod needs to be there again.
linger=20 ready=90

run() { "$here/cluster.sh" run "$@"; }
k() { run kubectl "$@"; }
say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
until_true() { # SECONDS COMMAND…
  local end=$((SECONDS + $1))
  until "${@:2}" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || return 1; sleep 0.3; done
}

# ---- What runs: an account, readers, the instance.

daemon_set() { # NAME, containers on standard input. A drain leaves it.
  cat <<YAML | k apply -f - >/dev/null
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: $1, namespace: readers}
spec:
  selector: {matchLabels: {app: $1}}
  template:
    metadata: {labels: {app: $1}}
    spec:
      hostNetwork: true
      terminationGracePeriodSeconds: 1
      tolerations: [{operator: Exists}]
      volumes:
        - {name: media, hostPath: {path: /mnt}}
        - {name: point, hostPath: {path: /mnt/dfs}}
        - {name: work, hostPath: {path: /var/lib/test}}
      containers:
$(cat)
YAML
}

reader() { # NAME VOLUMEMOUNT
  cat <<YAML
        - name: $1
          image: ghcr.io/debridfs/debridfs:reader
          args: [/mnt/dfs, $film, $film.mkv, "$hash", /work/log/$1]
          securityContext: {runAsUser: 1000, capabilities: {drop: [ALL]}}
          volumeMounts: [{name: work, mountPath: /work}, {$2}]
YAML
}

start_account() {
  printf '[[releases]]\nname = "%s"\nhash = "%s"\nfiles = [{ path = "/%s.mkv", bytes = 1073741824 }]\n' $film $hash $film >"$work/library.toml"
  daemon_set account <<YAML
        - name: account
          image: ghcr.io/debridfs/debridfs:v1
          args: [sim, --listen, "10.99.0.1:9000", --library, /work/library.toml, --unlimited]
          volumeMounts: [{name: work, mountPath: /work}]
YAML
  k -n readers rollout status ds/account --timeout=60s
}

start_readers() {
  { reader parent1 "name: media, mountPath: /mnt, mountPropagation: HostToContainer"
    reader parent2 "name: media, mountPath: /mnt, mountPropagation: HostToContainer"
    cat <<YAML
        - name: root
          image: localhost/busybox:1
          command: [sh, -c, "while :; do mkdir -p /mnt/dfs/series 2>/dev/null; usleep 50000; done"]
          volumeMounts: [{name: media, mountPath: /mnt, mountPropagation: HostToContainer}]
YAML
  } | daemon_set readers
  { reader point "name: point, mountPath: /mnt/dfs, mountPropagation: HostToContainer"
    reader subpath "name: media, mountPath: /mnt/dfs, subPath: dfs"; } | daemon_set bound
  k -n readers rollout status ds/readers --timeout=${ready}s
  k -n readers rollout status ds/bound --timeout=${ready}s
}

# `base` as documented, in an overlay of its own: address of the account, tag of the engine.
apply() { # TAG [LINE OF config.toml]
  cat >"$work/overlay/kustomization.yaml" <<YAML
namespace: debridfs
resources: [$streaming/base]
configMapGenerator:
  - {name: debridfs, behavior: replace, files: [config.toml]}
patches:
  - target: {kind: Deployment}
    patch: '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "ghcr.io/debridfs/debridfs:$1"}]'
  - target: {kind: DaemonSet}
    patch: '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "ghcr.io/debridfs/debridfs:v1"}]'
YAML
  { cat "$here/../deploy/kustomize/streaming/base/config.toml"; echo 'api_url = "http://10.99.0.1:9000/rest/1.0"'; echo "${2:-}"; } >"$work/overlay/config.toml"
  k apply -k "$work/overlay" >/dev/null
}

# Namespace and volume, which stay.
start_data() {
  mkdir -p "$work/data"
  cat >"$work/data/kustomization.yaml" <<YAML
namespace: debridfs
resources: [$streaming/data, volume.yaml]
patches:
  - target: {kind: PersistentVolumeClaim}
    patch: '[{"op": "add", "path": "/spec/storageClassName", "value": "by-hand"}]'
YAML
  cat >"$work/data/volume.yaml" <<YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: debridfs-state}
spec:
  capacity: {storage: 30Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: by-hand
  local: {path: /var/lib/test/state}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [w2]}]}]}}
YAML
  k apply -k "$work/data" >/dev/null
  k -n readers logs ds/account | sed -n 's/^token //p' | tr -d '\n' >"$work/token"
  k -n debridfs create secret generic debridfs --from-file=token="$work/token" >/dev/null 2>&1 || true
}
keeper_ready() { [ "$(k -n debridfs get pods -l app.kubernetes.io/name=debridfs-keeper -o 'jsonpath={range .items[*]}{.metadata.deletionTimestamp}{.status.containerStatuses[*].ready}{end}')" = true ]; }
# `rollout status` knows no OnDelete.
rolled() { until_true $ready keeper_ready && k -n debridfs rollout status deploy/debridfs --timeout=${ready}s >/dev/null; }
install() { apply v1; rolled; }
uninstall() { k delete -k "$work/overlay" >/dev/null && k -n debridfs wait --for=delete pod --all --timeout=${ready}s >/dev/null; }

# ---- What is done.

# Of the programs, not of their supervisors.
pids() { run pgrep -x "debridfs-$1" || true; }
kill_all() { local pids; pids=$(for program in "${@:2}"; do pids "$program"; done); run kill "$1" $pids; }
another() { # NAME PIDS: one of them runs that was not among these
  local now; now=$(pids "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}
kill_one() { local old; old=$(pids "$1"); run kill -9 $old && until_true 30 another "$1" "$old"; }
# Process 1 of its container, as when a control group runs out of memory: kubelet starts it again at once, after 10 s, and after 20 s.
container_thrice() {
  for _ in 1 2 3; do
    run kill -9 "$(run pgrep -f '^/.*debridfs .*supervise engine')" || return 1
    until_true 60 settled "$(date +%s.%N)" parent1 parent2
    sleep 1
  done
}
ten() { # NAME…: killed in turn, ten times within a minute
  for _ in {1..10}; do for program in "$@"; do kill_one "$program" || return 1; sleep $((5 / $#)); done; done
}
delete() { # engine|keeper
  local label=debridfs-keeper
  [ "$1" = keeper ] || label=debridfs
  k -n debridfs delete pod -l "app.kubernetes.io/name=$label" "${@:2}" >/dev/null
}
delete_both() { delete "$1" --wait=false; sleep "$3"; delete "$2" --wait=false; sleep $((linger + 6)); rolled; }
# Nothing serves when keeper.linger is over, so the keeper unmounts; the next one mounts anew.
beyond_linger() {
  k -n debridfs scale deploy/debridfs --replicas=0 >/dev/null
  delete keeper --wait=false
  sleep 60
  k -n debridfs scale deploy/debridfs --replicas=1 >/dev/null
  rolled
}
restart_program() { local old; old=$(run pgrep -x "$1"); run kill -9 $old; sleep 5; }
callers() {
  k -n debridfs scale deploy/debridfs --replicas=0 >/dev/null
  sleep 45
  # Milliseconds of the slowest of 100 that look for one name at once.
  slowest=$(run bash -c 'for i in {1..100}; do ( s=${EPOCHREALTIME/./}; [ ! -e /mnt/dfs/__all__/nosuch ]; echo $(((${EPOCHREALTIME/./} - s) / 1000)) ) & done; wait' | sort -n | tail -1)
  note="slowest of 100: $slowest ms"
  [ "$slowest" -lt 1000 ] || broken+=" slow"
  k -n debridfs scale deploy/debridfs --replicas=1 >/dev/null
  rolled
}
stranger() {
  uninstall
  [ -z "$(pids keeper)$(pids engine)" ] || broken+=" processes-left"
  [ "$(stat -c %a "$below")" = 0 ] && lsattr -d "$below" | grep -q '^[^ ]*i' || broken+=" not-closed"
  ! run ls /mnt/dfs >/dev/null 2>&1 || broken+=" root-sees-an-empty-directory"
  # Readers were to see that; what follows is done to it by hand.
  k -n readers delete ds readers bound --cascade=foreground >/dev/null
  chattr -i "$below" && chmod 755 "$below" && mkdir -p "$below/series" && touch "$below/series/stranger"
  install
  start_readers
  [ -e "$below/series/stranger" ] || broken+=" stranger-removed"
  rm -r "$below/series"
}
private_root() {
  k -n readers delete ds readers bound --cascade=foreground >/dev/null
  uninstall
  # As on a node that has just started: nothing of an earlier keeper is mounted there.
  run "$target/debridfs" uninstall >/dev/null 2>&1 || true
  run mount --make-private /mnt
  install 2>/dev/null & 
  local told='is not a shared mount' waiting=$!
  until_true 60 bash -c "'$here/cluster.sh' run kubectl -n debridfs get events | grep -q '$told'" && note="told: …$told" || broken+=" not-told"
  run "$target/debridfs" doctor --path /mnt >"$work/doctor" 2>&1 && broken+=" doctor-content" || true
  run "$target/debridfs" doctor --path /mnt --fix --yes >>"$work/doctor" 2>&1 || true
  wait $waiting || broken+=" not-installed"
  start_readers
}
drain() {
  k drain w2 --ignore-daemonsets --delete-emptydir-data --timeout=60s >/dev/null 2>&1
  sleep 35
  k uncordon w2 >/dev/null
  rolled
}
bad() { apply "$@"; sleep 60; apply v1; rolled; }
new_config() { local old; old=$(k -n debridfs get cm -o name | grep debridfs-); apply v1 'traffic_reserve_percent = 11'; k -n debridfs delete $old >/dev/null; rolled; }

# NAME, errors allowed to readers that bind the parent (a pattern), longest wait allowed (s), what is done.
events() {
  cat <<'LIST'
engine           -                           5   kill_one engine
engine_ten       -                           5   ten engine
keeper_ten       -                           5   ten keeper
both_ten         -                           5   ten engine keeper
container_thrice EIO                         35  container_thrice
hang             -                           15  kill_all -STOP engine; sleep 14
pod_engine       -                           15  delete engine; rolled
pod_keeper       -                           5   delete keeper; rolled
LIST
  for d in 0 1 4 8 15 19 25 30; do
    echo "engine_keeper_$d - 30 delete_both engine keeper $d"
    echo "keeper_engine_$d - 30 delete_both keeper engine $d"
  done
  cat <<'LIST'
beyond_linger    EIO|EACCES|ENOTCONN|ECONNABORTED 35  beyond_linger
both_killed      ENOTCONN|EACCES|EIO         30  kill_all -9 engine keeper; sleep 5
new_tag          -                           15  apply v2; rolled; apply v1; rolled
bad_tag          -                           15  bad none
bad_config       -                           15  bad v1 "no_such_key = 1"
config           -                           15  new_config
kubelet          -                           5   restart_program kubelet
containerd       -                           5   restart_program containerd
callers          EIO                         31  callers
drain            EIO                         31  drain
stranger         EACCES|ENOTCONN|ECONNABORTED 31  stranger
private_root     -                           31  private_root
LIST
}

# ---- What readers saw.

# Every loop of every reader named had a good call that began after TIME.
settled() { # TIME READER…
  local reader
  for reader in "${@:2}"; do
    tail -n 200 "$work/log/$reader" | awk -v since="$1" '$1 > since && $4 == "ok" {fine[$3]} END {exit (length(fine) < 4)}' || return 1
  done
}

# "ERRORS|WRONG|LONGEST|…": calls that ended since TIME.
seen() { # TIME READER…
  (cd "$work/log" && cat "${@:2}") | awk -v since="$1" -v OFS='|' '
    $2 < since {next}
    {if ($2 - $1 > longest) longest = $2 - $1}
    $4 == "wrong" {wrong++; next}
    $4 != "ok" {count[$4]++; if (!first || $2 < first) first = $2; if ($2 > last) last = $2}
    END {for (name in count) text = text (text ? ", " : "") name " " count[name]
      if (text) text = text sprintf(" (%.1f s)", last - first)
      printf "%s|%d|%.2f\n", text ? text : "0", wrong, longest}'
}

row() { # NAME ALLOWED LONGEST COMMAND…
  local name=$1 allowed=$2 longest=$3 since broken="" note="" errors wrong wait kinds info
  since=$(date +%s.%N)
  eval "${@:4}" || broken+=" failed"
  until_true 60 settled "$(date +%s.%N)" parent1 parent2 || broken+=" readers-not-back"
  IFS='|' read -r errors wrong wait <<<"$(seen "$since" parent1 parent2)"
  kinds=$(grep -oE '[A-Za-z][A-Za-z0-9-]* [0-9]+' <<<"$errors" | cut -d' ' -f1 || true)
  for kind in $kinds; do [[ $kind =~ ^($allowed)$ ]] || broken+=" $kind"; done
  [ "$wrong" = 0 ] || broken+=" wrong-bytes"
  awk "BEGIN {exit !($wait > $longest)}" && broken+=" wait"
  local disk=nothing
  [ -z "$(find "$below" -mindepth 1)" ] || { disk=$(find "$below" -mindepth 1 -printf '%P '); broken+=" disk"; }
  # They are told and not judged; what is dead there stays so until it is restarted.
  info=$(for bound in point subpath; do printf '%s: %s; ' $bound "$(seen "$since" $bound | cut -d'|' -f1)"; done)
  if ! until_true 5 settled "$(date +%s.%N)" point subpath; then
    info+=restarted
    k -n readers delete pod -l app=bound --force >/dev/null 2>&1
    k -n readers rollout status ds/bound --timeout=${ready}s >/dev/null || true
    until_true 30 settled "$(date +%s.%N)" point subpath || true
  fi
  printf '| %s | %s | %s | %s s | %s | %s | %s |\n' "$name" "$errors" "$wrong" "$wait" "$disk" "${broken:-ok}" "$info $note" | tee -a "$work/table"
  [ -z "$broken" ]
}

[ "${1:-}" != list ] || { events; exit; }
began=$SECONDS
[ -e "$CLUSTER/pid" ] || "$here/cluster.sh" up
mkdir -p "$work"/{log,overlay,pods,state} && chmod 1777 "$work/log" && rm -f "$work"/log/*
"$here/cluster.sh" image v1 "$target/debridfs" >/dev/null
run ctr --namespace k8s.io images tag --force ghcr.io/debridfs/debridfs:{v1,v2} >/dev/null
# Of that name because `image` makes no other.
"$here/cluster.sh" image reader "$target/examples/consumer" >/dev/null
k create namespace readers >/dev/null 2>&1 || true
k label node w2 debridfs.io/storage=true --overwrite >/dev/null
[ ! -e "$work/overlay/kustomization.yaml" ] || uninstall || true
k -n readers delete ds readers bound --ignore-not-found --cascade=foreground >/dev/null
start_account && start_data && install && start_readers
until_true 60 settled 0 parent1 parent2
# Logs of pods go with them; links to these stay.
while sleep 1; do cp -lrn "$CLUSTER"/pods/debridfs_* "$work/pods/" 2>/dev/null || true; done & keeping=$!
trap 'kill $keeping' EXIT
failed=0
echo "| event | errors | wrong bytes | longest wait | reached the disk | judged | bound to the mount point, subPath |" | tee "$work/table"
echo "|---|---|---|---|---|---|---|" | tee -a "$work/table"
while read -r name allowed longest command <&3; do
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  say "$name"
  row "$name" "$allowed" "$longest" "$command" || failed=1
done 3< <(events)
say "$((SECONDS - began)) s in all; logs of pods are in $work/pods"
exit $failed
