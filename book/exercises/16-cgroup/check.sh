#!/bin/sh
# Looks from outside at the cgroup of a program in the container, and lets one fork.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
name=exercise-16-$parent
grep -q "/$name\$" "/proc/$child/cgroup" ||
    missing "the way in: the program is not in a cgroup /$name, says /proc/$child/cgroup"
limit=$(find /sys/fs/cgroup -maxdepth 3 -path "*/$name/pids.max" -exec cat {} +)
[ "$limit" = 16 ] || missing "the limit: pids.max of $name is \"$limit\""
# The container's shell expands it.
# shellcheck disable=SC2016
forked=$("$PROGRAM" "$ROOTFS" sh -c 'for i in $(seq 40); do sleep 9 & done; echo 40' 2>/dev/null)
[ "$forked" != 40 ] || missing "its effect: a program could start 40 others"
kill -9 "$child"
wait "$parent" 2>/dev/null
left=$(find /sys/fs/cgroup -maxdepth 3 -name "$name")
[ -z "$left" ] || missing "the end: $left is left behind"
exit "$code"
