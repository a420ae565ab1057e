#!/bin/sh
# Looks from outside at the limits of a program in the container, and lets one use up its time.
# shellcheck source=book/check/container.sh
[ -n "$with_limits" ] || exec prlimit --nofile=100:200 env with_limits=1 sh "$0"
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
limit() {
    sed -n "s/^Max $1 *\([^ ]*\) *\([^ ]*\) .*/\1:\2/p" "/proc/$child/limits"
}
files=$(limit "open files")
[ "$files" = 32:200 ] || missing "the limits of open files: they are $files, not 32 and the caller's 200"
seconds=$(limit "cpu time")
if [ "$seconds" = 1:2 ]; then
    "$PROGRAM" "$ROOTFS" sh -c 'trap "exit 7" XCPU; while :; do :; done'
    [ $? = 7 ] || missing "the signal: SIGXCPU has not come"
else
    missing "the limits of processor time: they are $seconds, not 1:2"
fi
end
