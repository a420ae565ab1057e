#!/bin/sh
# Looks from outside at the ids of a program in the container, started by somebody with groups.
# shellcheck source=book/check/container.sh
[ -n "$with_groups" ] || exec setpriv --groups 7,8 env with_groups=1 sh "$0"
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
# The kernel separates by tabs.
ids=$(status Uid | tr '\t' ' ')
[ "$ids" = "1000 1000 1000 1000" ] ||
    missing "a change of all user ids: real, effective, saved and filesystem are $ids, and 0 is a way back"
ids=$(status Gid | tr '\t' ' ')
[ "$ids" = "1000 1000 1000 1000" ] || missing "a change of all group ids: they are $ids"
groups=$(status Groups)
[ -z "$groups" ] || missing "an empty list of groups: the caller's are in it, $groups"
permitted=$(status CapPrm)
[ "$permitted" = 0000000000000000 ] || missing "the end of root's capabilities: $permitted are permitted"
end
