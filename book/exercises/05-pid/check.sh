#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
"$PROGRAM" "$ROOTFS" sleep 30 &
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
numbers() {
    sed -n 's/^NSpid:\t//p' "/proc/$1/status"
}
[ "$(numbers "$init")" = "$init	1" ] || missing "the first process of the container is not its process 1: NSpid is $(numbers "$init")"
[ "$(numbers "$child")" = "$child	42" ] ||
    missing "the program is not process 42 in there: NSpid, outside and inside, is $(numbers "$child")"
kill "$child"
wait "$parent" 2>/dev/null
exit $code
