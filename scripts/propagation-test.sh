#!/usr/bin/env bash
# Runs the propagation test on a cluster without Flux: applies the bundle, waits for the verdict, shows it, and removes everything again.
# Usage: scripts/propagation-test.sh [NODE]      without NODE the one with the label debridfs.io/propagation-test=true; SHARE_OF=… for the parent of another
#                                                mount point than /mnt/dfs; IMAGE=… for another image
set -euo pipefail
cd "$(dirname "$0")/.."
bundle=deploy/kustomize/propagation-test
label=debridfs.io/propagation-test
share_of=${SHARE_OF:-/mnt}
manifests=$(kubectl kustomize "$bundle")
if [ $# != 0 ]; then
  manifests=${manifests//$label: \"true\"/kubernetes.io\/hostname: \"$1\"}
elif [ -z "$(kubectl get nodes --selector "$label=true" --output name)" ]; then
  echo "which node? $0 NODE, or: kubectl label node NODE $label=true" >&2
  kubectl get nodes >&2
  exit 2
fi
# Every path of the bundle is at or below the directory to share.
manifests=$(sed -E "s|([ ,])/mnt(/debridfs-propagation-test)?\$|\1$share_of\2|" <<<"$manifests")
[ -z "${IMAGE:-}" ] || manifests=$(sed -E "s|^( *image: ).*|\1$IMAGE|" <<<"$manifests")
clean() {
  # The host's part removes the mount point when its pod is told to stop.
  kubectl delete --ignore-not-found --wait --timeout=120s -f - <<<"$manifests" >/dev/null
}
trap clean EXIT
kubectl apply -f - <<<"$manifests"
# What a container has said; nothing while it has not been started.
said() { kubectl -n fuse-test logs --selector "app.kubernetes.io/name=$1" --container "$2" --tail=-1 2>/dev/null || true; }
verdict=
for _ in $(seq 180); do
  verdict=$(kubectl -n fuse-test get job fuse-consumer -o 'jsonpath={.status.conditions[?(@.status=="True")].type}')
  case "$verdict" in *Complete* | *Failed*) break ;; esac
  # Where the node shares nothing no other container is started: the Job would go on trying until its deadline.
  ! said fuse-producer host | grep -q '^FAILURE: ' || break
  sleep 1
done
log=
for part in fuse-producer/host fuse-producer/producer fuse-consumer/root fuse-consumer/user fuse-consumer/restricted; do
  log+="--- $part"$'\n'"$(said "${part%/*}" "${part#*/}")"$'\n'
done
printf '%s' "$log"
case "$verdict" in
  *Complete*) echo "SUCCESS" ;;
  *)
    # The first one, in the order of the decision tree.
    grep -m 1 '^FAILURE: ' <<<"$log" || {
      kubectl -n fuse-test get pods -o wide
      kubectl -n fuse-test get events --field-selector type=Warning
      echo "FAILURE: no container of the test came to a verdict: see above"
    }
    exit 1
    ;;
esac
