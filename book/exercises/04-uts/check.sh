#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
before=$(cat /proc/sys/kernel/domainname)
"$PROGRAM" "$ROOTFS" sleep 30 &
parent=$!
child=
for _ in $(seq 100); do
    child=$(cut -d' ' -f1 "/proc/$parent/task/$parent/children")
    [ -n "$child" ] && [ "$(cat "/proc/$child/comm")" = sleep ] && break
    sleep 0.05
done
missing() {
    echo "missing: $1"
    code=1
}
code=0
[ "$(readlink "/proc/$child/ns/uts")" != "$(readlink /proc/self/ns/uts)" ] ||
    missing "the container is in the UTS namespace of the host: no CLONE_NEWUTS among the clone's flags"
inside=$(nsenter -t "$child" -u cat /proc/sys/kernel/domainname)
[ "$inside" = inside ] || missing "the container's domain name is \"$inside\", not \"inside\""
[ "$(cat /proc/sys/kernel/domainname)" = "$before" ] || missing "the host's domain name has changed"
kill "$child"
wait "$parent" 2>/dev/null
exit $code
