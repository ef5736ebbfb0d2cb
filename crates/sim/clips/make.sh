#!/bin/sh
# Makes the clips beside this script from ffmpeg's own test sources; nothing in them is anybody's work.
set -eu
cd "$(dirname "$0")"
run() { ffmpeg -nostdin -hide_banner -loglevel error -y -fflags +bitexact "$@"; }

# Matroska, H.264 and AAC, 12 s, a key frame each second, so that seeking has something to do.
run -f lavfi -i testsrc2=size=320x180:rate=24:duration=12 -f lavfi -i sine=frequency=440:duration=12 \
    -c:v libx264 -preset veryslow -crf 38 -g 24 -pix_fmt yuv420p -c:a aac -b:a 32k -ac 1 \
    -flags:v +bitexact -flags:a +bitexact -map_metadata -1 film.mkv

# Matroska, H.264 and AC-3, two audio tracks and a subtitle track, 8 s.
run -f lavfi -i smptehdbars=size=320x180:rate=24:duration=8 -f lavfi -i sine=frequency=330:duration=8 \
    -f lavfi -i sine=frequency=660:duration=8 -i subtitles.srt -map 0 -map 1 -map 2 -map 3 \
    -c:v libx264 -preset veryslow -crf 38 -g 48 -pix_fmt yuv420p -c:a:0 ac3 -b:a:0 48k -c:a:1 aac -b:a:1 24k -ac 1 -c:s srt \
    -metadata:s:a:0 language=eng -metadata:s:a:1 language=fra -metadata:s:s:0 language=eng -t 8 \
    -flags:v +bitexact -flags:a +bitexact episode.mkv

# MP4 with the index at the end: a player has to read the tail before the first picture.
run -f lavfi -i testsrc=size=320x180:rate=24:duration=8 -f lavfi -i sine=frequency=220:duration=8 \
    -c:v mpeg4 -q:v 12 -g 24 -c:a aac -b:a 32k -ac 1 -flags:v +bitexact -flags:a +bitexact -map_metadata -1 index-at-end.mp4
