#!/bin/busybox sh
# Process 1 of the guest. The script talks on the second serial port; its exit status goes to the third.
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
chmod 1777 /tmp
stty -F /dev/ttyS1 raw -echo
stty -F /dev/ttyS2 raw -echo
ip link set lo up
while read -r module; do
  insmod "$module" || echo "init: $module cannot be loaded"
done </etc/modules.order
if ip link set eth0 up 2>/dev/null; then
  ip address add 10.0.2.15/24 dev eth0
  ip route add default via 10.0.2.2
fi
sh /script </dev/ttyS1 >/dev/ttyS1 2>&1
echo "status $?" >/dev/ttyS2
# The port's buffer has to be sent before the machine ends.
stty -F /dev/ttyS1 sane
stty -F /dev/ttyS2 sane
poweroff -f
