#!/bin/sh
# Looks at two containers on one wire: PROGRAM ROOTFS COMMAND…, with ADDRESS in the environment.
# In a network namespace of its own, which stands for the host and takes everything with it at its end.
[ -n "$CHECK_IN_NAMESPACE" ] || CHECK_IN_NAMESPACE=1 exec unshare -n sh "$0"
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
# The wire, with another machine at its other end: 192.0.2.2.
neighbour wire
# Starts a container with the address 192.0.2.$1, whose process is then $child.
start() {
    ADDRESS=192.0.2.$1/24 "$PROGRAM" "$ROOTFS" sleep 30 2>/dev/null &
    parent=$!
    parents="$parents $parent"
    child=
    for _ in $(seq 100); do
        child=$(cut -d' ' -f1 "/proc/$parent/task/$parent/children" 2>/dev/null)
        [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = sleep ] && break
        sleep 0.05
    done
    if [ "$(cat "/proc/$child/comm" 2>/dev/null)" != sleep ]; then
        missing "the container does not start: $(ADDRESS=192.0.2.$1/24 "$PROGRAM" "$ROOTFS" true 2>&1 | tail -n 1)"
        kill "$world"
        exit $code
    fi
}
pings() {
    nsenter -t "$1" -n busybox ping -q -c 1 -W "$3" "192.0.2.$2" >/dev/null 2>&1
}
start 3
first=$child
start 4
second=$child
for child in $first $second; do
    nsenter -t "$child" -n busybox ip addr show dev eth0 2>/dev/null | grep -q 'inet 192.0.2.[34]/24' ||
        missing "a container has no interface eth0 with its address"
    pings "$child" 2 5 || missing "a container does not reach the machine at the other end of the wire, 192.0.2.2"
done
if pings "$second" 3 1; then
    missing "one container reaches the other: the mode is not private"
fi
if pings "$first" 1 1; then
    missing "a container reaches the host, 192.0.2.1: it is not on the wire, but on something of the host's"
fi
kill "$first" "$second" "$world"
# shellcheck disable=SC2086
wait $parents 2>/dev/null
exit $code
