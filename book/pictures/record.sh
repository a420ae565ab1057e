#!/bin/sh
# Records what the timeline is drawn from, book/pictures/run.explain: starts a container 200 times and keeps the fastest start,
# which others on the machine disturbed least. As root, with an optimised build (make build): book/pictures/record.sh IMAGE
set -eu
cd "$(dirname "$0")/../.."
root=${MINI_DOCKER_ROOT:-/var/lib/mini-docker}
runs=$(mktemp -d)
trap 'rm -r "$runs"' EXIT
for number in $(seq 200); do
    target/release/mini-docker --root "$root" run --rm --userns=host --explain "$1" true 2>"$runs/$number"
done
fastest=$(for run in "$runs"/*; do echo "$(tail -n 1 "$run" | awk '{ print $(NF - 1) }') $run"; done | sort -n | head -n 1)
{
    echo "# the fastest of 200 starts, $(date -u +%Y-%m-%d), Linux $(uname -r | cut -d- -f1)"
    sed "s|$root|/var/lib/mini-docker|g" "${fastest#* }"
} >book/pictures/run.explain
