#!/bin/bash
# Pulling and unpacking an image from a registry on this machine, and pushing it to another one, beside docker and podman, in turns.
# Five layers, as many files of this machine's /usr as make 660 MB. Needs root, docker-registry, curl, jq, and for the peers
# podman and a dockerd that runs.
#
#   benches/images.sh [TURNS [MEGABYTES]]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/common.sh
same_view "$@"
turns=${1:-3} megabytes=${2:-660}
from=$((20000 + RANDOM % 10000)) to=$((30000 + RANDOM % 10000))
image=localhost:$from/bench/pull copy=localhost:$to/bench/push
registries=()
clean() {
    kill "${registries[@]}" 2>/dev/null || true
    docker rmi -f "$image" "$copy" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

serve() { # PORT NAME: a registry in $work/NAME
    cat >"$work/$2.yml" <<YML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/$2}}
http: {addr: 127.0.0.1:$1}
YML
    docker-registry serve "$work/$2.yml" >/dev/null 2>&1 &
    registries+=($!)
    until curl -sf "http://localhost:$1/v2/" >/dev/null; do sleep 0.05; done
}
serve "$from" from
serve "$to" to

mkdir "$work/context"
find /usr/lib /usr/bin /usr/share -xdev -type f -size -2M -printf '%s %p\n' 2>/dev/null | sort -k2 |
    awk -v most="${megabytes}000000" '{ sum += $1; if (sum > most) exit; sub(/^[0-9]+ /, ""); print int(sum / (most / 5 + 1)), $0 }' >"$work/files"
for layer in 0 1 2 3 4; do
    sed -n "s/^$layer //p" "$work/files" | tar -C / -cf "$work/context/$layer.tar" -T - 2>/dev/null
done
{
    echo FROM scratch
    for layer in 0 1 2 3 4; do echo "ADD $layer.tar /"; done
} >"$work/context/Dockerfile"
"$mini" build -q -t "$image" "$work/context" >/dev/null
"$mini" push -q "$image" >/dev/null
layers=$(curl -s -H 'Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json' \
    "http://localhost:$from/v2/bench/pull/manifests/latest" | jq -r '.layers[] | "\(.size) \(.digest)"')
size=$(awk '{ sum += $1 } END { printf "%.0f", sum / 1e6 }' <<<"$layers")
while IFS=: read -r _ digest; do
    echo "$work/from/docker/registry/v2/blobs/sha256/${digest:0:2}/$digest/data"
done <<<"$layers" >"$work/blobs"
rm -rf "$work/store" "$work/context"

pull() { # NAME
    case $1 in
    podman) engine podman pull -q --tls-verify=false "$image" ;;
    *) engine "$1" pull -q "$image" ;;
    esac
}
push() { # NAME
    case $1 in
    podman) engine podman push -q --tls-verify=false "$copy" ;;
    # It has no -q here.
    docker) docker push "$copy" ;;
    *) engine "$1" push -q "$copy" ;;
    esac
}
# What the same bytes take at least: inflated, and written by a program that does nothing else, one layer after the other.
inflate() { while read -r blob; do gzip -dc "$blob" >/dev/null; done <"$work/blobs"; }
inflate_and_write() {
    mkdir "$work/written"
    while read -r blob; do tar -C "$work/written" --overwrite -xzf "$blob"; done <"$work/blobs"
}
read -ra all <<<"$(contestants)"
for _ in $(seq "$turns"); do
    for one in "${all[@]}"; do
        sync
        seconds pull "$one" >>"$work/$one.pull"
        engine "$one" tag "$image" "$copy" >/dev/null
        rm -rf "$work/to/docker"
        sync
        seconds push "$one" >>"$work/$one.push"
        engine "$one" rmi -f "$image" "$copy" >/dev/null 2>&1
    done
    seconds inflate >>"$work/gzip alone.pull"
    sync
    seconds inflate_and_write >>"$work/gzip and tar.pull"
    rm -rf "$work/written"
done
{
    echo "| $size MB (gzip), $megabytes MB | pull and unpack, s | mini-docker's share | push, s | mini-docker's share |"
    echo "|---|---|---|---|---|"
    for one in "${all[@]}" 'gzip alone' 'gzip and tar'; do row "$one" pull push; done
    echo
    echo "Medians of $turns turns on $(machine)."
} | publish images
record pull "by_docker=$(share pull docker)" "by_podman=$(share pull podman)" \
    "push_by_docker=$(share push docker)" "push_by_podman=$(share push podman)"
