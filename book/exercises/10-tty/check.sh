#!/bin/sh
# Looks from outside at the streams, session and terminal of a program that runs in the container.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30 </dev/null
# proc_pid_stat(5): after the name come state, parent, group, session, terminal.
# shellcheck disable=SC2046
set -- $(sed 's/.*) //' "/proc/$child/stat")
leader=$(sed -n 's/^NSsid:.*[[:space:]]//p' "/proc/$child/status")
[ "$leader" = 1 ] || missing "a session: the program's is $leader, and not its own (setsid)"
[ "$5" != 0 ] || missing "a controlling terminal: the session has none (TIOCSCTTY), and ^C would signal nobody"
for stream in 0 1 2; do
    at=$(readlink "/proc/$child/fd/$stream")
    case $at in
    /dev/pts/0 | /0) ;;
    *) missing "stream $stream: it is $at, and not the container's first terminal" ;;
    esac
done
end
