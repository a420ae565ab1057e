#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
"$PROGRAM" "$ROOTFS" sleep 30 &
parent=$!
child=
for _ in $(seq 100); do
    child=$(cut -d' ' -f1 "/proc/$parent/task/$parent/children")
    [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = sleep ] && break
    sleep 0.05
done
missing() {
    echo "missing: $1"
    code=1
}
code=0
# 7777 is 1E61, and 0A is a socket that listens.
listens=$(awk '$2 == "0100007F:1E61" && $4 == "0A" { print $10 }' "/proc/$child/net/tcp")
if [ -z "$listens" ]; then
    missing "nothing listens at 127.0.0.1:7777 in the container's network namespace"
else
    said=$(nsenter -t "$child" -n busybox nc -w 3 127.0.0.1 7777 </dev/null 2>&1)
    [ "$said" = "from outside" ] ||
        missing "who connects to it is told \"$said\", not \"from outside\": was the descriptor sent to the parent?"
    for fd in "/proc/$child/fd"/*; do
        [ "$(readlink "$fd")" != "socket:[$listens]" ] ||
            missing "the container's program has the socket too: it should close when it is executed"
    done
fi
kill "$child"
wait "$parent" 2>/dev/null
exit $code
