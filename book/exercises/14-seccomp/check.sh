#!/bin/sh
# Tries from inside to rename the container, by both of x86-64's tables, and looks from outside at the filter.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
image=$(mktemp -d)
trap 'rm -rf "$image"' EXIT
cp -a "$ROOTFS/." "$image"
# A program that calls sethostname("other") by int 0x80, where it is number 74, and exits with the errno.
{
    printf '\177ELF\2\1\1\0\0\0\0\0\0\0\0\0\2\0>\0\1\0\0\0x\0@\0\0\0\0\0@\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0@'
    printf '\0\70\0\1\0\0\0\0\0\0\0\1\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0@\0\0\0\0\0\0\0@\0\0\0\0\0\231\0\0\0\0\0'
    printf '\0\0\231\0\0\0\0\0\0\0\0\20\0\0\0\0\0\0\270J\0\0\0\273\224\0@\0\271\5\0\0\0\315\200\367\330\211\307'
    printf '\270<\0\0\0\17\5other'
} >"$image/knock"
chmod 755 "$image/knock"
name=$("$PROGRAM" "$image" sh -c 'hostname other 2>/dev/null; hostname')
[ "$name" = container ] || missing "a verdict on sethostname: the container is now called \"$name\""
"$PROGRAM" "$image" sh -c 'hostname other' 2>&1 | grep -q 'not permitted' ||
    missing "the errno: who calls sethostname is not told \"Operation not permitted\""
if [ "$(uname -m)" = x86_64 ]; then
    name=$("$PROGRAM" "$image" sh -c '/knock 2>/dev/null; hostname' 2>/dev/null)
    [ "$name" = container ] || missing "a look at the architecture: int 0x80 has renamed the container to \"$name\""
fi
"$PROGRAM" "$image" sh -c 'ls / | grep -q bin' || missing "ordinary calls: ls does not work any more"
begin sleep 30
mode=$(status Seccomp)
[ "$mode" = 2 ] || missing "the filter: Seccomp is $mode, not 2"
end
