#!/bin/sh
# Comes to a server in the container from outside: PROGRAM ROOTFS COMMAND…
# In a network namespace of its own, which stands for the host and takes everything with it at its end.
[ -n "$CHECK_IN_NAMESPACE" ] || CHECK_IN_NAMESPACE=1 exec unshare -n sh "$0"
missing() {
    echo "missing: $1"
    code=1
}
ask() {
    busybox nc -w 3 "$1" "$2" </dev/null 2>/dev/null
}
code=0
# Another machine, 192.0.2.2, with a server of its own on port 8080.
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
nsenter -t "$world" -n busybox nc -ll -p 8080 -e echo world &
server=$!
"$PROGRAM" "$ROOTFS" nc -ll -p 80 -e echo container 2>/dev/null &
parent=$!
child=
for _ in $(seq 100); do
    child=$(cut -d' ' -f1 "/proc/$parent/task/$parent/children")
    [ -n "$child" ] && [ "$(nsenter -t "$child" -n busybox nc -w 1 127.0.0.1 80 </dev/null 2>/dev/null)" = container ] && break
    sleep 0.05
done
[ "$(nsenter -t "$world" -n busybox nc -w 3 192.0.2.1 8080 </dev/null 2>/dev/null)" = container ] ||
    missing "a machine outside that connects to port 8080 of the host does not reach the container"
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Eq ':1F90 0+:0000 0A ' ||
    missing "nobody has bound port 8080 of the host: somebody else could"
[ "$(ask 192.0.2.2 8080)" = world ] || missing "the host does not reach port 8080 of another machine any more"
[ "$(nsenter -t "$child" -n busybox nc -w 3 192.0.2.2 8080 </dev/null 2>/dev/null)" = world ] ||
    missing "the container does not reach port 8080 of another machine: the door is for what goes to this machine alone"
kill "$child" "$server" "$world"
wait "$parent" 2>/dev/null
exit $code
