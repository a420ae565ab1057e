#!/bin/sh
# Comes to a server in the container from outside: PROGRAM ROOTFS COMMAND…
# In a network namespace of its own, which stands for the host and takes everything with it at its end.
[ -n "$CHECK_IN_NAMESPACE" ] || CHECK_IN_NAMESPACE=1 exec unshare -n sh "$0"
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
ask() {
    busybox nc -w 3 "$1" "$2" </dev/null 2>/dev/null
}
# Another machine, 192.0.2.2, with a server of its own on port 8080.
neighbour up0
nsenter -t "$world" -n busybox nc -ll -p 8080 -e echo world &
server=$!
begin nc -ll -p 80 -e echo container 2>/dev/null
while [ -e "/proc/$child" ]; do
    [ "$(nsenter -t "$child" -n busybox nc -w 1 127.0.0.1 80 </dev/null 2>/dev/null)" = container ] && break
    sleep 0.05
done
[ "$(nsenter -t "$world" -n busybox nc -w 3 192.0.2.1 8080 </dev/null 2>/dev/null)" = container ] ||
    missing "a machine outside that connects to port 8080 of the host does not reach the container"
cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -Eq ':1F90 0+:0000 0A ' ||
    missing "nobody has bound port 8080 of the host: somebody else could"
[ "$(ask 192.0.2.2 8080)" = world ] || missing "the host does not reach port 8080 of another machine any more"
[ "$(nsenter -t "$child" -n busybox nc -w 3 192.0.2.2 8080 </dev/null 2>/dev/null)" = world ] ||
    missing "the container does not reach port 8080 of another machine: the door is for what goes to this machine alone"
kill "$server" "$world"
end
