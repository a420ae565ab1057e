#!/bin/sh
# Looks from outside at the root directory of the program: PROGRAM ROOTFS COMMAND…
[ "$(id -u)" = 0 ] || {
    echo "missing: root, for chroot(2) takes CAP_SYS_CHROOT; run the check as root"
    exit 1
}
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
root=$(readlink "/proc/$child/root")
[ "$root" = "$(readlink /proc/self/root)" ] || missing "the program is still locked in: its /proc/PID/root is $root"
[ "$(readlink "/proc/$parent/root")" = "$(readlink /proc/self/root)" ] || missing "who starts the program has another root too"
kill "$child"
wait "$parent" 2>/dev/null
exit $code
