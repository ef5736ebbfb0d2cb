#!/usr/bin/env bash
# Runs the propagation test on a cluster without Flux: applies the bundle, waits for the verdict, shows it, and removes everything again.
# Usage: scripts/propagation-test.sh [NODE]      the node is w2 when absent; IMAGE=… for another image
set -euo pipefail
cd "$(dirname "$0")/.."
bundle=deploy/kustomize/propagation-test
manifests=$(kubectl kustomize "$bundle")
[ $# = 0 ] || manifests=${manifests//kubernetes.io\/hostname: w2/kubernetes.io\/hostname: $1}
[ -z "${IMAGE:-}" ] || manifests=$(sed -E "s|^( *image: ).*|\1$IMAGE|" <<<"$manifests")
clean() {
  # The host's part removes the mount point when its pod is told to stop.
  kubectl delete --ignore-not-found --wait --timeout=120s -f - <<<"$manifests" >/dev/null
}
trap clean EXIT
kubectl apply -f - <<<"$manifests"
verdict=
for _ in $(seq 180); do
  verdict=$(kubectl -n fuse-test get job fuse-consumer -o 'jsonpath={.status.conditions[?(@.status=="True")].type}')
  case "$verdict" in *Complete* | *Failed*) break ;; esac
  sleep 1
done
for container in host producer; do
  echo "--- $container"
  kubectl -n fuse-test logs deployment/fuse-producer -c "$container" || true
done
for container in root user restricted; do
  echo "--- consumer $container"
  kubectl -n fuse-test logs job/fuse-consumer -c "$container" || true
done
case "$verdict" in
  *Complete*) echo "SUCCESS" ;;
  *) echo "FAILURE: see above, and kubectl -n fuse-test get events"; exit 1 ;;
esac
