#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
[ "$(readlink "/proc/$child/ns/net")" != "$(readlink /proc/self/ns/net)" ] ||
    missing "the container is in the network namespace of the host"
grep -q '192\.0\.2\.7$' "/proc/$child/net/fib_trie" ||
    missing "the container has no address 192.0.2.7: its /proc/PID/net/fib_trie knows none"
if grep -q '192\.0\.2\.7$' /proc/self/net/fib_trie; then
    missing "the host has the address 192.0.2.7: ip address del 192.0.2.7/32 dev lo takes it back"
fi
kill "$child"
wait "$parent" 2>/dev/null
"$PROGRAM" "$ROOTFS" ping -c 1 -W 1 192.0.2.7 >/dev/null 2>&1 || missing "nobody answers at 192.0.2.7 in there"
exit $code
