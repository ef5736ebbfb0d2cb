#!/bin/sh
# Records crates/content/tests/traces/ anew: real programs read real media through a real mount of the simulator.
# Needs root, ffmpeg, mediainfo, file and mpv (Debian packages of these names), and about 400 MB in $TMPDIR.
# Usage: scripts/traces.sh PROGRAM, where PROGRAM is a built `debridfs`.
set -eu
program=$(realpath "$1")
out=$(cd "$(dirname "$0")/../crates/content/tests/traces" && pwd)
dir=$(mktemp -d)
mount="$dir/mnt/dfs"
pids=
finish() {
    for pid in $pids; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    umount -l "$mount" 2>/dev/null || true
    [ -n "${KEEP:-}" ] || rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM

media="$dir/media"
mkdir -p "$media"
ff() { ffmpeg -nostdin -hide_banner -loglevel error -y "$@"; }
ff -f lavfi -i testsrc2=size=1280x720:rate=24:duration=100 -f lavfi -i sine=frequency=440:duration=100 \
    -vf noise=alls=20:allf=t -c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 6M -maxrate 8M -bufsize 8M -g 48 -c:a aac -b:a 128k "$media/film.mkv"
ff -i "$media/film.mkv" -c copy "$media/index-at-end.mp4"
ff -i "$media/film.mkv" -c copy -movflags +faststart "$media/faststart.mp4"
ff -i "$media/film.mkv" -c copy "$media/film.ts"
ff -i "$media/film.mkv" -c copy -bsf:v h264_mp4toannexb "$media/film.avi"

{
    for name in film.mkv index-at-end.mp4 faststart.mp4 film.ts film.avi; do
        printf '[[releases]]\nname = "%s"\nfiles = [{ path = "/%s", local = "%s" }]\n' "$name" "$name" "$media/$name"
    done
} > "$dir/library.toml"
"$program" sim --library "$dir/library.toml" > "$dir/sim" 2> "$dir/sim.log" &
pids="$pids $!"
until grep -qs "^control" "$dir/sim"; do sleep 0.1; done
# Real latency, and a rate at which a whole file takes longer than a player is given to fill its buffer.
curl -fsS -X PATCH -H 'content-type: application/json' "$(sed -n 's/^control //p' "$dir/sim")settings" \
    -d '{"first_byte_ms": 40, "connection_rate": 2000000}' > /dev/null
export DEBRIDFS__PROVIDER__RD__TOKEN="$(sed -n 's/^token //p' "$dir/sim")"
export DEBRIDFS__PROVIDER__RD__API_URL="$(sed -n 's/^url //p' "$dir/sim")"
export DEBRIDFS__MOUNT__PATH="$mount" DEBRIDFS__STATE_DIR="$dir/state" DEBRIDFS__RUNTIME_DIR="$dir/run"
export DEBRIDFS__SERVER__LISTEN=127.0.0.1:0 DEBRIDFS__MOUNT__IMMUTABLE=false
# What one program read would be there for the next.
export DEBRIDFS__CONTENT__CACHE__ENABLED=false
mkdir -p "$mount"
"$program" serve > "$dir/serve.log" 2>&1 &
pids="$pids $!"
for _ in $(seq 100); do [ -n "$(find "$mount/__all__" -name film.avi 2> /dev/null)" ] && break; sleep 0.2; done

# record NAME FILE COMMAND...: one command on one file nobody has in its caches.
record() {
    name=$1 file=$(find "$mount/__all__" -name "$2")
    shift 2
    # Out of the kernel's page cache; the engine keeps nothing of a closed handle.
    dd if="$file" iflag=nocache count=0 2> /dev/null
    "$program" trace record --path "$file" -o "$out/$name.jsonl" 2> "$dir/record.log" &
    recording=$!
    until grep -qs recording "$dir/record.log"; do sleep 0.1; done
    echo "== $name: $*"
    "$@" "$file" > "$dir/said" 2>&1 || { tail -n 5 "$dir/said"; exit 1; }
    sleep 0.2
    kill -INT "$recording"
    wait "$recording"
    "$program" trace show "$out/$name.jsonl"
}
probe() { timeout 300 ffprobe -v error -show_format -show_streams "$1"; }
shot() { timeout 300 ffmpeg -nostdin -v error -ss "$1" -i "$2" -frames:v 1 -f null -; }
sheet() { for at in 10 20 30 40 50 60 70 80 90; do shot "$at" "$1"; done; }
intervals() { timeout 300 ffprobe -v error -read_intervals "10%+#1,20%+#1,30%+#1,40%+#1,50%+#1,60%+#1,70%+#1,80%+#1" -show_packets "$1"; }
decode() { timeout 300 ffmpeg -nostdin -v error -i "$1" -f null -; }
key_frames() { timeout 300 ffmpeg -nostdin -v error -skip_frame nokey -i "$1" -f null -; }
play() { timeout 300 mpv --no-config --vo=null --ao=null --really-quiet --length=25 "$1"; }
play_slowly() { timeout 300 mpv --no-config --vo=null --ao=null --really-quiet --cache=no --length=25 "$1"; }
copy() { cat "$1"; }

for kind in film.mkv index-at-end.mp4 faststart.mp4 film.ts film.avi; do
    record "ffprobe-$kind" "$kind" probe
    record "mediainfo-$kind" "$kind" mediainfo
    record "ffmpeg-shot-$kind" "$kind" shot 50
done
record file-film.mkv film.mkv file
for kind in film.mkv film.ts; do
    record "ffmpeg-decode-$kind" "$kind" decode
    record "mpv-play-$kind" "$kind" play
done
record ffmpeg-sheet-film.mkv film.mkv sheet
for kind in film.mkv index-at-end.mp4; do record "ffprobe-intervals-$kind" "$kind" intervals; done
record ffmpeg-key-frames-film.mkv film.mkv key_frames
record mpv-play-slowly-film.mkv film.mkv play_slowly
record cat-film.mkv film.mkv copy
for tool in "ffmpeg -version" "mediainfo --Version" "mpv --version" "file --version"; do $tool | head -n 2 | tr '\n' ' '; echo; done
