#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
becomes='sleep'
begin sh -c 'echo x >/scratch/file; exec sleep 30' 2>/dev/null
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
rmdir "$ROOTFS/scratch" 2>/dev/null
end
