#!/bin/bash
# Pulling and unpacking an image from a registry on this machine, beside docker and podman, in turns. Five layers, as many files of
# this machine's /usr as make 440 MB. Needs root, docker-registry, jq, and for the peers podman and a dockerd that runs.
#
#   benches/images.sh [TURNS]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/record.sh
if [ -z "${STARTUP_VIEW-}" ]; then exec env STARTUP_VIEW=1 unshare -m bash "$0" "$@"; fi
# crun, which podman uses, refuses the hybrid layout of cgroups.
mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified
turns=${1:-3}
mini=${MINI_DOCKER:-$PWD/target/release/mini-docker}
work=$(mktemp -d)
export MINI_DOCKER_ROOT=$work/store
port=$((20000 + RANDOM % 20000))
image=localhost:$port/bench/pull
registry=
clean() {
    [ -z "$registry" ] || kill "$registry" || true
    docker rmi -f "$image" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

cat >"$work/registry.yml" <<YML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/registry}}
http: {addr: 127.0.0.1:$port}
YML
docker-registry serve "$work/registry.yml" >/dev/null 2>&1 &
registry=$!
until curl -sf "http://localhost:$port/v2/" >/dev/null; do sleep 0.05; done

mkdir "$work/context"
find /usr/lib /usr/bin /usr/share -xdev -type f -size -2M -printf '%s %p\n' 2>/dev/null | sort -k2 |
    awk -v most=440000000 '{ sum += $1; if (sum > most) exit; print int(sum / (most / 5 + 1)), $2 }' >"$work/files"
for layer in 0 1 2 3 4; do
    awk -v layer=$layer '$1 == layer { print $2 }' "$work/files" | tar -C / -cf "$work/context/$layer.tar" -T - 2>/dev/null
done
{
    echo FROM scratch
    for layer in 0 1 2 3 4; do echo "ADD $layer.tar /"; done
} >"$work/context/Dockerfile"
"$mini" build -q -t "$image" "$work/context" >/dev/null
"$mini" push -q "$image" >/dev/null
size=$(curl -s -H 'Accept: application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json' \
    "http://localhost:$port/v2/bench/pull/manifests/latest" | jq '[.layers[].size] | add / 1e6 | round')
rm -rf "$work/store" "$work/context"

podman=(podman --root "$work/podman" --runroot "$work/podman-run")
once() { # NAME: seconds
    local start end
    sync
    start=$(date +%s.%N)
    case $1 in
    mini-docker) "$mini" pull -q "$image" ;;
    docker) docker pull -q "$image" ;;
    podman) "${podman[@]}" pull -q --tls-verify=false "$image" ;;
    esac >/dev/null 2>&1
    end=$(date +%s.%N)
    case $1 in
    mini-docker) "$mini" rmi -f "$image" ;;
    docker) docker rmi -f "$image" ;;
    podman) "${podman[@]}" rmi -f "$image" ;;
    esac >/dev/null 2>&1
    jq -n "$end - $start"
}
contestants=(mini-docker)
docker info >/dev/null 2>&1 && contestants+=(docker)
command -v podman >/dev/null && contestants+=(podman)
for _ in $(seq "$turns"); do
    for one in "${contestants[@]}"; do once "$one" >>"$work/$one.times"; done
done
median() { sort -n "$work/$1.times" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
{
    echo "| pull and unpack $size MB (gzip), 440 MB | s | mini-docker's share |"
    echo "|---|---|---|"
    for one in "${contestants[@]}"; do
        jq -rn --arg one "$one" --argjson t "$(median "$one")" --argjson ours "$(median mini-docker)" \
            '"| \($one) | \($t * 100 | round / 100) | \($ours / $t * 100 | round / 100) |"'
    done
    echo
    echo "Medians of $turns turns on $(date -u +%F); Linux $(uname -r), $(nproc) processors."
} >"$work/table"
sed -i -e '/^<!-- images -->$/,/^<!-- end -->$/{//!d}' -e "/^<!-- images -->$/r $work/table" benches/README.md
cat "$work/table"
share() { [ ! -e "$work/$1.times" ] || jq -n "{by_$1: ($(median mini-docker) / $(median "$1"))}"; }
record pull "$({ share docker; share podman; } | jq -s 'add // {}')"
