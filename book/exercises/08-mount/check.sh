#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
"$PROGRAM" "$ROOTFS" sh -c 'echo x >/scratch/file; exec sleep 30' 2>/dev/null &
parent=$!
first_child() {
    cut -d' ' -f1 "/proc/$1/task/$1/children" 2>/dev/null
}
child=
for _ in $(seq 100); do
    init=$(first_child "$parent")
    child=$(first_child "${init:-0}")
    [ -n "$child" ] && [ "$(cat "/proc/$child/comm")" = sleep ] && break
    sleep 0.05
done
missing() {
    echo "missing: $1"
    code=1
}
code=0
entry=$(grep ' / /scratch ' "/proc/$child/mountinfo")
case $entry in
    *" - tmpfs "*)
        for attribute in nosuid nodev noexec; do
            case ,$(echo "$entry" | cut -d' ' -f6), in
                *,$attribute,*) ;;
                *) missing "the mount at /scratch is not $attribute" ;;
            esac
        done
        case $entry in
            *size=1024k*) ;;
            *) missing "the tmpfs at /scratch is not limited to one MiB: $entry" ;;
        esac
        [ -e "$ROOTFS/scratch/file" ] && missing "what is written to /scratch is written to the root filesystem"
        ;;
    *) missing "no tmpfs is mounted at /scratch in /proc/PID/mountinfo" ;;
esac
grep -q ' /scratch ' /proc/self/mountinfo && missing "the host has the mount too"
kill "$child"
wait "$parent" 2>/dev/null
rmdir "$ROOTFS/scratch" 2>/dev/null
exit $code
