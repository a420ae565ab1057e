#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
numbers() {
    sed -n 's/^NSpid:\t//p' "/proc/$1/status"
}
[ "$(numbers "$init")" = "$init	1" ] || missing "the first process of the container is not its process 1: NSpid is $(numbers "$init")"
[ "$(numbers "$child")" = "$child	42" ] ||
    missing "the program is not process 42 in there: NSpid, outside and inside, is $(numbers "$child")"
end
