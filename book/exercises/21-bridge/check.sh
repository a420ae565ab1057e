#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# In a network namespace of its own, which stands for the host and takes everything with it at its end.
[ -n "$CHECK_IN_NAMESPACE" ] || CHECK_IN_NAMESPACE=1 exec unshare -n sh "$0"
"$PROGRAM" "$ROOTFS" sleep 30 2>/dev/null &
parent=$!
child=
for _ in $(seq 100); do
    child=$(cut -d' ' -f1 "/proc/$parent/task/$parent/children")
    [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = sleep ] && break
    sleep 0.05
done
missing() {
    echo "missing: $1"
    code=1
}
inside() {
    nsenter --target "$child" --net "$@"
}
code=0
if [ "$(cat "/proc/$child/comm" 2>/dev/null)" != sleep ]; then
    missing "the container does not start: $("$PROGRAM" "$ROOTFS" true 2>&1 | tail -n 1)"
    exit $code
fi
busybox ip addr show dev cable0 2>/dev/null | grep -q 'inet 10.99.0.1/30' ||
    missing "the host has no interface cable0 with the address 10.99.0.1/30"
inside busybox ip addr show dev eth0 2>/dev/null | grep -q 'inet 10.99.0.2/30' ||
    missing "the container has no interface eth0 with the address 10.99.0.2/30"
busybox ping -q -c 1 -W 3 10.99.0.2 >/dev/null 2>&1 ||
    missing "the container does not answer the host's ping: are both ends up?"
inside busybox ping -q -c 1 -W 3 10.99.0.1 >/dev/null 2>&1 ||
    missing "the host does not answer the container's ping"
kill "$child"
wait "$parent" 2>/dev/null
exit $code
