#!/bin/sh
# Asks servers outside from within the container and from the host: PROGRAM ROOTFS COMMAND…
# In a network namespace of its own, which stands for the host and takes everything with it at its end.
[ -n "$CHECK_IN_NAMESPACE" ] || CHECK_IN_NAMESPACE=1 exec unshare -n sh "$0"
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
# Another machine, 192.0.2.2, with a server of mail and one of pages.
neighbour up0
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
