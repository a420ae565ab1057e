#!/bin/sh
# Looks from outside at the root directory of the program: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
[ "$(id -u)" = 0 ] || {
    echo "missing: root, for chroot(2) takes CAP_SYS_CHROOT; run the check as root"
    exit 1
}
begin sleep 30
root=$(readlink "/proc/$child/root")
[ "$root" = "$(readlink /proc/self/root)" ] || missing "the program is still locked in: its /proc/PID/root is $root"
[ "$(readlink "/proc/$parent/root")" = "$(readlink /proc/self/root)" ] || missing "who starts the program has another root too"
end
