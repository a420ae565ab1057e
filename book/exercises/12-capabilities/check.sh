#!/bin/sh
# Looks from outside at the five sets of a program in the container, started by somebody who passes some on.
# shellcheck source=book/check/container.sh
[ -n "$with_sets" ] || exec setpriv --inh-caps +kill,+chown --ambient-caps +kill env with_sets=1 sh "$0"
. "$(dirname "$0")/../../check/container.sh"
begin sleep 30
expect() {
    set=$(status "$1")
    [ "$set" = "$2" ] || missing "$3: $1 is $set, not $2"
}
only=0000000000000001
none=0000000000000000
expect CapBnd $only "the bound of what programs can get by exec"
expect CapPrm $only "the cut of what is permitted"
expect CapEff $only "the cut of what is effective"
expect CapInh $none "an empty inheritable set"
expect CapAmb $none "an empty ambient set"
end
