#!/bin/bash
# A build of ten RUN and a COPY of 5,000 files, cold and all cached, beside docker and podman, in turns; and twenty stages that do
# not need each other, beside the same steps in one. Needs root, jq, and for the peers podman and a dockerd that runs.
#
#   benches/build.sh [TURNS [FILES]]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/common.sh
same_view "$@"
turns=${1:-3} files=${2:-5000}
export DOCKER_BUILDKIT=${DOCKER_BUILDKIT:-0}
clean() {
    "$mini" network prune -f >/dev/null 2>&1 || true
    docker rmi -f bench-base bench-built >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

make_root sh true echo cat mkdir
for number in $(seq "$files"); do
    directory=$work/context/files/$((number % 50))
    mkdir -p "$directory"
    head -c 2000 /dev/urandom >"$directory/$number"
done
{
    echo FROM bench-base
    for step in $(seq 10); do echo "RUN echo $step > /step$step"; done
    echo COPY files /files
} >"$work/context/Dockerfile"

# Twenty times the same work: in stages of their own, and one after the other.
mkdir "$work/fan" "$work/line"
{
    for stage in $(seq 20); do
        work_step="RUN i=0; while [ \$i -lt 100000 ]; do i=\$((i + 1)); done; echo $stage > /f$stage"
        printf 'FROM bench-base AS s%s\n%s\n' "$stage" "$work_step"
        [ "$stage" -gt 1 ] || echo FROM bench-base >"$work/line/Dockerfile"
        echo "$work_step" >>"$work/line/Dockerfile"
    done
    echo FROM bench-base
    for stage in $(seq 20); do echo "COPY --from=s$stage /f$stage /"; done
} >"$work/fan/Dockerfile"

read -ra all <<<"$(contestants)"
for one in "${all[@]}"; do engine "$one" import "$work/root.tar" bench-base >/dev/null 2>&1; done
once() { # NAME ARGUMENTS: seconds
    local more=()
    [ "$1" != podman ] || more=(--layers)
    # shellcheck disable=SC2046 # one word an option
    seconds engine "$1" build -q -t bench-built "${more[@]}" $(limits "$1") "${@:2}" "$work/context"
}
for _ in $(seq "$turns"); do
    for one in "${all[@]}"; do once "$one" --no-cache >>"$work/$one.cold"; done
    for one in "${all[@]}"; do
        # What comes first fills the cache.
        once "$one" >/dev/null
        once "$one" >>"$work/$one.cached"
    done
    for shape in fan line; do seconds engine mini-docker build -q --no-cache "$work/$shape" >>"$work/shape.$shape"; done
done
{
    echo "| 10 RUN and a COPY of $files files | cold, s | mini-docker's share | all cached, s | mini-docker's share |"
    echo "|---|---|---|---|---|"
    for one in "${all[@]}"; do row "$one" cold cached; done
    echo
    jq -nr --argjson fan "$(median shape.fan)" --argjson line "$(median shape.line)" \
        'def r: . * 1000 | round / 1000; "Twenty stages side by side take \($fan | r) s, the same steps in one stage \($line | r) s: \($line / $fan | r) times as long."'
    echo
    echo "Medians of $turns turns on $(machine)."
} | publish build
record build "cold_by_docker=$(share cold docker)" "cached_by_docker=$(share cached docker)" \
    "fan_out=$(jq -n "$(median shape.line) / $(median shape.fan)")"
