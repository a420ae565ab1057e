#!/bin/sh
# Looks from outside at a program that runs in the container: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
for map in uid_map gid_map; do
    said=$(awk '{ printf "%s %s %s, ", $1, $2, $3 }' "/proc/$child/$map")
    [ "$said" = "0 300000 1, 1000 400000 1, " ] ||
        missing "the container's $map is \"${said%, }\", not \"0 300000 1, 1000 400000 1\""
done
for kind in Uid Gid; do
    ids=$(awk -v kind="$kind:" '$1 == kind { print $2, $3, $4, $5 }' "/proc/$child/status")
    [ "$ids" = "300000 300000 300000 300000" ] ||
        missing "the process's $kind (real, effective, saved, of the filesystem) is $ids outside: it has not become root of its namespace"
done
groups=$(awk '$1 == "Groups:" { $1 = ""; print }' "/proc/$child/status")
[ -z "${groups# }" ] || missing "the process is still in groups of the host's:$groups"
end
