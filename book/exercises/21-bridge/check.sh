#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# In a network namespace of its own, which stands for the host and takes everything with it at its end.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
[ -n "$CHECK_IN_NAMESPACE" ] || CHECK_IN_NAMESPACE=1 exec unshare -n sh "$0"
begin sleep 30
inside() {
    nsenter --target "$child" --net "$@"
}
busybox ip addr show dev cable0 2>/dev/null | grep -q 'inet 10.99.0.1/30' ||
    missing "the host has no interface cable0 with the address 10.99.0.1/30"
inside busybox ip addr show dev eth0 2>/dev/null | grep -q 'inet 10.99.0.2/30' ||
    missing "the container has no interface eth0 with the address 10.99.0.2/30"
busybox ping -q -c 1 -W 3 10.99.0.2 >/dev/null 2>&1 ||
    missing "the container does not answer the host's ping: are both ends up?"
inside busybox ping -q -c 1 -W 3 10.99.0.1 >/dev/null 2>&1 ||
    missing "the host does not answer the container's ping"
end
