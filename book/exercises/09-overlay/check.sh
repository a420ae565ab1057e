#!/bin/sh
# Looks from outside at the root of a program that runs in the container.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
root=/proc/$child/root
[ -e "$root/etc/passwd" ] || missing "the rest of /etc: the container does not see its /etc/passwd"
[ ! -e "$root/etc/group" ] ||
    missing "a whiteout for /etc/group in the upper directory: the container sees the file of its image"
[ -f "$ROOTFS/etc/group" ] || missing "the image: its /etc/group has gone"
case $(stat -c %A "$root/etc") in
*r-x) ;;
*) missing "the mode of /etc: others cannot look into it" ;;
esac
end
