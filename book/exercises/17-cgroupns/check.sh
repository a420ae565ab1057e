#!/bin/sh
# Looks from outside, and from the container's cgroup namespace, at where a program in the container is.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
grep -q "/exercise-17-$parent\$" "/proc/$child/cgroup" || missing "the cgroup: the program is not in /exercise-17-$parent"
[ "$(readlink "/proc/$child/ns/cgroup")" != "$(readlink /proc/self/ns/cgroup)" ] ||
    missing "a cgroup namespace of the program's own"
seen=$(nsenter --target "$child" --cgroup cut -d: -f3 "/proc/$child/cgroup" | grep exercise | sort -u)
[ -z "$seen" ] || missing "the root at its cgroup: seen from its namespace the program is in $seen"
end
