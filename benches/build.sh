#!/bin/bash
# A build of ten RUN and a COPY of 5,000 files, cold and all cached, beside docker and podman, in turns. Needs root, jq, and for the
# peers podman and a dockerd that runs.
#
#   benches/build.sh [TURNS]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/record.sh
if [ -z "${STARTUP_VIEW-}" ]; then exec env STARTUP_VIEW=1 unshare -m bash "$0" "$@"; fi
# crun, which podman uses, refuses the hybrid layout of cgroups.
mountpoint -q /sys/fs/cgroup/unified && umount /sys/fs/cgroup/unified
turns=${1:-3}
mini=${MINI_DOCKER:-$PWD/target/release/mini-docker}
work=$(mktemp -d)
export MINI_DOCKER_ROOT=$work/store DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0}
podman=(podman --root "$work/podman" --runroot "$work/podman-run")
trap '"$mini" network prune -f >/dev/null 2>&1 || true; docker rmi -f bench-base bench-built >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

mkdir -p "$work/root/bin" "$work/root/tmp" "$work/root/etc" "$work/context/files"
cp "$(command -v busybox)" "$work/root/bin/busybox"
for applet in sh true echo cat mkdir; do ln -s busybox "$work/root/bin/$applet"; done
tar -C "$work/root" -cf "$work/root.tar" .
for number in $(seq 5000); do
    directory=$work/context/files/$((number % 50))
    mkdir -p "$directory"
    head -c 2000 /dev/urandom >"$directory/$number"
done
{
    echo FROM bench-base
    for step in $(seq 10); do echo "RUN echo $step > /step$step"; done
    echo COPY files /files
} >"$work/context/Dockerfile"

contestants=(mini-docker)
"$mini" import "$work/root.tar" bench-base >/dev/null
if docker info >/dev/null 2>&1; then
    contestants+=(docker)
    docker import "$work/root.tar" bench-base >/dev/null
fi
if command -v podman >/dev/null; then
    contestants+=(podman)
    "${podman[@]}" import -q "$work/root.tar" bench-base >/dev/null
fi
once() { # NAME ARGUMENTS: seconds
    local start end engine
    case $1 in
    mini-docker) engine=("$mini") ;;
    docker) engine=(docker) ;;
    podman) engine=("${podman[@]}") ;;
    esac
    local more=()
    # Its own limits are higher than some machines let anybody raise them.
    [ "$1" != podman ] || more=(--layers --ulimit nofile=1024:1024 --ulimit nproc=1000:1000)
    start=$(date +%s.%N)
    "${engine[@]}" build -q -t bench-built "${more[@]}" "${@:2}" "$work/context" >/dev/null 2>"$work/errors" || { cat "$work/errors" >&2; return 1; }
    end=$(date +%s.%N)
    jq -n "$end - $start"
}
for _ in $(seq "$turns"); do
    for one in "${contestants[@]}"; do once "$one" --no-cache >>"$work/$one.cold"; done
    for one in "${contestants[@]}"; do
        # What comes first fills the cache.
        once "$one" >/dev/null
        once "$one" >>"$work/$one.cached"
    done
done
median() { sort -n "$work/$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
{
    echo "| 10 RUN and a COPY of 5,000 files | cold, s | mini-docker's share | all cached, s | mini-docker's share |"
    echo "|---|---|---|---|---|"
    for one in "${contestants[@]}"; do
        jq -rn --arg one "$one" --argjson a "$(median "$one.cold")" --argjson b "$(median "$one.cached")" \
            --argjson ours "$(median mini-docker.cold)" --argjson ours_b "$(median mini-docker.cached)" \
            'def r: . * 1000 | round / 1000; "| \($one) | \($a | r) | \($ours / $a | r) | \($b | r) | \($ours_b / $b | r) |"'
    done
    echo
    echo "Medians of $turns turns on $(date -u +%F); Linux $(uname -r), $(nproc) processors."
} >"$work/table"
sed -i -e '/^<!-- build -->$/,/^<!-- end -->$/{//!d}' -e "/^<!-- build -->$/r $work/table" benches/README.md
cat "$work/table"
share() { [ ! -e "$work/docker.$1" ] || jq -n "{$1_by_docker: ($(median "mini-docker.$1") / $(median "docker.$1"))}"; }
record build "$({ share cold; share cached; } | jq -s 'add // {}')"
