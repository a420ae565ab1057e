#!/bin/sh
# Asks servers outside from within the container and from the host: PROGRAM ROOTFS COMMAND…
# In a network namespace of its own, which stands for the host and takes everything with it at its end.
[ -n "$CHECK_IN_NAMESPACE" ] || CHECK_IN_NAMESPACE=1 exec unshare -n sh "$0"
missing() {
    echo "missing: $1"
    code=1
}
code=0
# Another machine, 192.0.2.2, with a server of mail and one of pages.
busybox ip link set lo up
busybox unshare -n sleep 60 &
world=$!
here=$(readlink /proc/self/ns/net)
until [ "$(readlink "/proc/$world/ns/net")" != "$here" ]; do sleep 0.05; done
busybox ip link add up0 type veth
busybox ip link set veth0 netns "$world"
busybox ip addr add 192.0.2.1/24 dev up0
busybox ip link set up0 up
nsenter -t "$world" -n busybox ip addr add 192.0.2.2/24 dev veth0
nsenter -t "$world" -n busybox ip link set veth0 up
servers=$world
for port in 25 80; do
    nsenter -t "$world" -n busybox nc -ll -p $port -e echo reached &
    servers="$servers $!"
    for _ in $(seq 100); do
        [ "$(busybox nc -w 1 192.0.2.2 $port </dev/null 2>/dev/null)" = reached ] && break
        sleep 0.05
    done
done
said=$("$PROGRAM" "$ROOTFS" sh -c 'nc -w 5 192.0.2.2 80; echo; nc -w 2 192.0.2.2 25' 2>&1 </dev/null)
case $said in
reached*) ;;
*) missing "the container does not reach port 80 outside: $said" ;;
esac
case $said in
*reached*reached*) missing "the container reaches port 25 outside: no rule at the hook forward drops it" ;;
esac
[ "$(busybox nc -w 5 192.0.2.2 25 </dev/null 2>/dev/null)" = reached ] ||
    missing "the host itself does not reach port 25 any more: the rule is not about the bridge alone"
# shellcheck disable=SC2086
kill $servers
exit $code
