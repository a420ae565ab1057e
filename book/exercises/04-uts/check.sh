#!/bin/sh
# Looks from outside at the names of a program that runs in the container.
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
before=$(cat /proc/sys/kernel/domainname)
begin sleep 30
[ "$(readlink "/proc/$child/ns/uts")" != "$(readlink /proc/self/ns/uts)" ] ||
    missing "the container is in the UTS namespace of the host: no CLONE_NEWUTS among the clone's flags"
inside=$(nsenter -t "$child" -u cat /proc/sys/kernel/domainname)
[ "$inside" = inside ] || missing "the container's domain name is \"$inside\", not \"inside\""
[ "$(cat /proc/sys/kernel/domainname)" = "$before" ] || missing "the host's domain name has changed"
end
