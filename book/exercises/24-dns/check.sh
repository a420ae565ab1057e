#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
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
end
