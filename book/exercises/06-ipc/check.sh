#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
[ "$(id -u)" = 0 ] || {
    echo "missing: root, for setns(2) takes CAP_SYS_ADMIN over the namespace; run the check as root"
    exit 1
}
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
unshare --ipc --fork sleep 30 &
other=$!
await "$other" sleep
PARTNER=$child
export PARTNER
begin sleep 30
[ "$(readlink "/proc/$child/ns/ipc")" = "$(readlink "/proc/$PARTNER/ns/ipc")" ] ||
    missing "the program is not in the IPC namespace of its partner"
[ "$(readlink "/proc/$parent/ns/ipc")" = "$(readlink /proc/self/ns/ipc)" ] ||
    missing "who starts the program has gone to the partner's namespace too"
segment=$(nsenter -t "$PARTNER" -i ipcmk -M 4096 | tr -dc 0-9)
nsenter -t "$child" -i ipcs -m -i "$segment" 2>&1 | grep -q bytes=4096 ||
    missing "a segment that the partner makes is not there for the program"
kill "$child" "$PARTNER"
wait "$parent" "$other" 2>/dev/null
PARTNER=0 "$PROGRAM" "$ROOTFS" true 2>/dev/null && missing "a partner that is not there is no error"
exit $code
