#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
[ "$(readlink "/proc/$child/ns/user")" != "$(readlink /proc/self/ns/user)" ] ||
    missing "the container is in the user namespace of the host: no CLONE_NEWUSER among the clone's flags"
for map in "uid $(id -u)" "gid $(id -g)"; do
    file=${map% *}_map
    said=$(tr -s ' ' <"/proc/$child/$file" | sed 's/^ //')
    [ "$said" = "1000 ${map#* } 1" ] || missing "/proc/PID/$file is \"$said\", not \"1000 ${map#* } 1\""
done
capabilities=$(sed -n 's/^CapEff:\t//p' "/proc/$child/status")
[ "$capabilities" = 0000000000000000 ] || missing "the program has capabilities ($capabilities): it is root in there"
kill "$child"
wait "$parent" 2>/dev/null
# shellcheck disable=SC2016
inside=$("$PROGRAM" "$ROOTFS" sh -c 'echo "$(id -u):$(id -g)"')
[ "$inside" = 1000:1000 ] || missing "inside, user and group are $inside, not 1000:1000"
exit $code
