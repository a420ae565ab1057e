#!/bin/sh
# Records what the timeline is drawn from, book/pictures/run.explain: starts a container many times and keeps the fastest start,
# which others on the machine disturbed least. As root, with an optimised build (make build), and busybox.
#
#   book/pictures/record.sh [STARTS]      after it, cargo run -p pictures draws
set -eu
cd "$(dirname "$0")/../.."
program=${MINI_DOCKER:-${CARGO_TARGET_DIR:-target}/release/mini-docker}
# A store whose path is as long as the usual one: lines that are too long are cut.
usual=/var/lib/mini-docker
runs=$(mktemp -d /tmp/md.XXXXXX)
export MINI_DOCKER_ROOT="$runs/store"
trap '"$program" network prune -f >/dev/null; rm -r "$runs"' EXIT
./rootfs-fetch.sh busybox "$runs/root.tar" >/dev/null
"$program" import "$runs/root.tar" box >/dev/null
mkdir "$runs/said"
for number in $(seq "${1:-200}"); do
    "$program" run --rm --explain box true 2>"$runs/said/$number"
done
fastest=$(for run in "$runs"/said/*; do echo "$(tail -n 1 "$run" | awk '{ print $(NF - 1) }') $run"; done | sort -n | head -n 1)
names="s|$MINI_DOCKER_ROOT|$usual|g"
for length in $(seq 19 -1 6); do
    names="$names; s|$(echo "$MINI_DOCKER_ROOT" | cut -c "1-$length")…|$(echo "$usual" | cut -c "1-$length")…|"
done
{
    echo "# the fastest of ${1:-200} starts, $(date -u +%Y-%m-%d), Linux $(uname -r | cut -d- -f1)"
    sed "$names" "${fastest#* }"
} >"$runs/explain"
tail -n 1 "$runs/explain"
[ -n "${BENCHES_DRY-}" ] || cp "$runs/explain" book/pictures/run.explain
