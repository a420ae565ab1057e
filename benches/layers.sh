#!/bin/bash
# What the first write to a file of a lower layer takes, beside docker and podman, in turns: a large file, and many small ones, with
# the container's start and end. Beside it the kernel's own copies on the same filesystem, and in memory. Needs root, jq, and
# for the peers podman and a dockerd that runs.
#
#   benches/layers.sh [TURNS [MEGABYTES [FILES]]]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/common.sh
same_view "$@"
turns=${1:-5} megabytes=${2:-256} files=${3:-5000}
memory=$(mktemp -d -p /dev/shm)
clean() {
    docker rmi -f bench-layers >/dev/null 2>&1 || true
    rm -rf "$work" "$memory"
}
trap clean EXIT

mkdir -p "$work/root/files"
head -c "${megabytes}M" /dev/urandom >"$work/root/large"
for number in $(seq "$files"); do head -c 2000 /dev/urandom >"$work/root/files/$number"; done
make_root sh true chmod
read -ra all <<<"$(contestants)"
for one in "${all[@]}"; do engine "$one" import "$work/root.tar" bench-layers >/dev/null 2>&1; done
run() { # NAME COMMAND
    # shellcheck disable=SC2046 # one word an option
    engine "$1" run --rm --network none $(limits "$1") bench-layers "${@:2}"
}
for _ in $(seq "$turns"); do
    for one in "${all[@]}"; do
        seconds run "$one" true >>"$work/$one.nothing"
        sync
        seconds run "$one" sh -c 'echo >> /large' >>"$work/$one.large"
        sync
        seconds run "$one" chmod -R go-r /files >>"$work/$one.files"
    done
    sync
    seconds cp "$work/root/large" "$work/copy" >>"$work/cp.large"
    sync
    seconds cp -a "$work/root/files" "$work/copies" >>"$work/cp.files"
    seconds cp "$work/root/large" "$memory/copy" >>"$work/cp to memory.large"
    seconds cp -a "$work/root/files" "$memory/copies" >>"$work/cp to memory.files"
    rm -rf "$work/copy" "$work/copies" "$memory/copy" "$memory/copies"
done
{
    echo "| a container | does nothing, s | mini-docker's share | writes to a file of $megabytes MiB, s | mini-docker's share | changes $files files, s | mini-docker's share |"
    echo "|---|---|---|---|---|---|---|"
    for one in "${all[@]}" cp 'cp to memory'; do row "$one" nothing large files; done
    echo
    echo "Medians of $turns turns on $(machine)."
} | publish layers
record layers "large_by_docker=$(share large docker)" "large_by_cp=$(share large cp)" \
    "files_by_docker=$(share files docker)" "files_by_cp=$(share files cp)"
