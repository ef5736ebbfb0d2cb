#!/usr/bin/env bash
# An older program on the store of this one, and back, under a reader: the tree, its inode numbers, links, downloads and bytes stay the same.
# Usage: scripts/test-upgrade.sh OLD [NEW]: two builds of debridfs. Needs root and /dev/fuse. Takes about a minute.
set -euo pipefail
fail() { printf 'upgrade: %s\n' "$*" >&2; exit 1; }
old=$(readlink -f "${1:?usage: $0 OLD [NEW]}") new=$(readlink -f "${2:-target/debug/debridfs}")
[ -x "$old" ] && [ -x "$new" ] || fail "build the programs first: $old, $new"
dir=$(mktemp -d /tmp/debridfs-upgrade-XXXXXX)
pids=()
end() {
  set +e
  [ "${#pids[@]}" = 0 ] || kill "${pids[@]}" 2>/dev/null
  wait 2>/dev/null
  # The empty mount point is immutable.
  chattr -i "$dir/mnt"
  rm -rf "$dir"
}
trap end EXIT

mkdir "$dir"/{mnt,state,run,cache,downloads}
"$new" sim --library 60 >"$dir/sim.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do grep -q token "$dir/sim.log" && break; sleep 0.1; done
url=$(awk '$1 == "url" { print $2 }' "$dir/sim.log") token=$(awk '$1 == "token" { print $2 }' "$dir/sim.log")
cat >"$dir/debridfs.toml" <<END
state_dir = "$dir/state"
cache_dir = "$dir/cache"
runtime_dir = "$dir/run"
[mount]
path = "$dir/mnt"
[library]
refresh_interval = "500ms"
[server]
listen = "127.0.0.1:0"
[acquire]
downloads = "$dir/downloads"
[provider.rd]
kind = "real-debrid"
token = "$token"
api_url = "$url"
END
chown -R 65534:65534 "$dir"

install_program() { cp "$1" "$dir/debridfs.new" && mv "$dir/debridfs.new" "$dir/debridfs"; }
tree() { find "$dir/mnt" -mindepth 1 -not -name version.txt -printf '%i %y %s %T@ %P\n' | sort; }
links() { # How often links were made.
  curl -sS "${url%/rest/*}/control/counters" |
    python3 -c 'import json, sys; print(sum(sum(how.values()) for name, how in json.load(sys.stdin)["endpoints"].items() if "unrestrict" in name))'
}
jobs_now() { # What names and settles a download; rates and ages move.
  "$dir/debridfs" queue ls --json --config "$dir/debridfs.toml" |
    python3 -c 'import json, sys; print([{key: job[key] for key in ("hash", "name", "state", "step", "category") if key in job} for job in json.load(sys.stdin)])'
}
replace() { # PROGRAM
  install_program "$1"
  "$dir/debridfs" upgrade --socket "$dir/run/control.sock" >/dev/null || fail "$1 does not take over"
  for _ in $(seq 100); do "$dir/debridfs" status --config "$dir/debridfs.toml" >/dev/null 2>&1 && return; sleep 0.1; done
  fail "$1 does not answer"
}

install_program "$old"
"$dir/debridfs" serve --config "$dir/debridfs.toml" >"$dir/serve.log" 2>&1 &
pids+=($!)
for _ in $(seq 300); do [ "$(find "$dir/mnt/__all__" -type f 2>/dev/null | wc -l)" -ge 60 ] && break; sleep 0.2; done
sleep 3
tree >"$dir/tree"
[ "$(wc -l <"$dir/tree")" -ge 120 ] || fail "the library is not there: $(tail -n 3 "$dir/serve.log")"
hash=$(getfattr --absolute-names --only-values -n user.debridfs.hash "$(find "$dir/mnt/__all__" -mindepth 1 -maxdepth 1 -type d | head -n 1)")
"$dir/debridfs" queue add --config "$dir/debridfs.toml" "$hash" >/dev/null
mapfile -t films < <(find "$dir/mnt/__all__" -type f -size +8M | sort | head -n 4)
sums() { for film in "${films[@]}"; do dd if="$film" bs=1M skip="$1" count=2 iflag=direct status=none | sha256sum; done; }
sums 3 >"$dir/sums"
sleep 2
jobs_now >"$dir/jobs"
grep -q "$hash" "$dir/jobs" || fail "the download is not listed: $(cat "$dir/jobs")"

# Reads without end, in places that were not read before; what fails is counted.
( place=0
  while [ ! -e "$dir/over" ]; do
    place=$((place % 7 + 1))
    sums "$place" >"$dir/read.$place" 2>>"$dir/errors" || echo failed >>"$dir/errors"
    if [ -e "$dir/first.$place" ]; then cmp "$dir/read.$place" "$dir/first.$place" >>"$dir/errors" 2>&1 || true; else cp "$dir/read.$place" "$dir/first.$place"; fi
    echo >>"$dir/reads"
  done ) &
reader=$!

for round in 1 2; do
  for program in "$new" "$old"; do
    before=$(links)
    replace "$program"
    sleep 2
    tree | diff "$dir/tree" - || fail "round $round: another tree under $program"
    jobs_now | diff "$dir/jobs" - || fail "round $round: other downloads under $program"
    sums 3 | diff "$dir/sums" - || fail "round $round: other bytes under $program"
    [ "$before" = "$(links)" ] || fail "round $round: $program made links anew: $before, $(links)"
  done
done
touch "$dir/over"
wait "$reader"
[ ! -s "$dir/errors" ] || fail "the reader met errors: $(sort "$dir/errors" | uniq -c | head -n 5)"
echo "upgrade: $(wc -l <"$dir/tree") entries, $(wc -l <"$dir/reads") reads of $(( ${#films[@]} * 2 )) MiB, four replacements, no error"
