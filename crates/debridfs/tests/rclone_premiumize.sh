#!/usr/bin/env bash
# rclone's remote for Premiumize against the simulator. rclone knows one host alone, so it runs in a network of its own, in which that name
# is this machine: run it by `unshare --net --mount`. Arguments: the program, a directory to work in.
set -euo pipefail
program=$1 work=$2

ip link set lo up
printf '127.0.0.1 www.premiumize.me\n' >"$work/hosts"
mount --make-rprivate /
mount --bind "$work/hosts" /etc/hosts

"$program" sim --kind premiumize --tls --host www.premiumize.me --listen 127.0.0.1:443 --library "$work/library.json" >"$work/said" &
sim=$!
trap 'kill "$sim"; wait "$sim" || true' EXIT
until grep -q '^control' "$work/said"; do kill -0 "$sim"; read -rt 0.05 <> <(:) || true; done
token=$(sed -n 's/^token //p' "$work/said")

export RCLONE_CONFIG=$work/rclone.conf RCLONE_CONFIG_PM_TYPE=premiumizeme RCLONE_CONFIG_PM_API_KEY=$token
export RCLONE_NO_CHECK_CERTIFICATE=true RCLONE_RETRIES=1 RCLONE_LOW_LEVEL_RETRIES=1
touch "$RCLONE_CONFIG"

rclone lsf -R --format ps pm: | sort >"$work/listed"
printf '%s\n' 'Film.2020.mkv;500000' 'Show.S01/;-1' 'Show.S01/E01.mkv;5000' 'Show.S01/Subs/;-1' 'Show.S01/Subs/E01.srt;50' >"$work/wanted"
diff "$work/wanted" "$work/listed"

# Bytes: the whole, and a part.
link=$(curl -ks "https://www.premiumize.me/control/torrents" | sed -n 's/.*"filename":"Film.2020".*"links":\["\([A-Z0-9]*\)"\].*/\1/p')
curl -ks "https://www.premiumize.me/control/content?link=$link&offset=0&length=500000" >"$work/film"
rclone cat pm:Film.2020.mkv | cmp - "$work/film"
rclone cat --offset 400000 --count 1000 pm:Film.2020.mkv | cmp - <(tail -c +400001 "$work/film" | head -c 1000)

# What it changes in the cloud.
rclone mkdir pm:Films
rclone moveto pm:Film.2020.mkv pm:Films/Renamed.mkv
rclone lsf pm:Films | grep -qx 'Renamed.mkv'
rclone purge pm:Show.S01
rclone deletefile pm:Films/Renamed.mkv
rclone lsf -R pm: | grep -qx 'Films/'
rclone about --json pm: | grep -q '"used": 0'
echo "all calls did as they say"
