#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
[ "$(readlink "/proc/$child/ns/time")" != "$(readlink /proc/self/ns/time)" ] ||
    missing "the container is in the host's time namespace: only a child, or who calls setns(2), gets into the new one"
up=$(cut -d. -f1 /proc/uptime)
for clock in monotonic boottime; do
    offset=$(awk -v clock=$clock '$1 == clock { print $2 }' "/proc/$child/timens_offsets")
    # Some seconds may have passed since the container began.
    shows=$((up + ${offset:-0} - 1000000))
    if [ $shows -lt -2 ] || [ $shows -gt 60 ]; then
        missing "the container's $clock clock shows $((up + ${offset:-0})) seconds, and should go on from 1000000"
    fi
done
end
