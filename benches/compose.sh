#!/bin/bash
# A project of ten services up and down, beside docker-compose, in turns, and `up` with nothing to do on fifty. Needs root, jq, and for
# the peer docker-compose and a dockerd that runs.
#
#   benches/compose.sh [TURNS]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/record.sh
turns=${1:-3}
mini=${MINI_DOCKER:-$PWD/target/release/mini-docker}
work=$(mktemp -d)
export MINI_DOCKER_ROOT=$work/store
clean() {
    for number in 10 50; do "$mini" compose -f "$work/$number.yml" down -t 0 >/dev/null 2>&1 || true; done
    "$mini" network prune -f >/dev/null 2>&1 || true
    docker rmi -f bench-compose >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT
mkdir -p "$work/root/bin"
cp "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sleep"
tar -C "$work/root" -cf "$work/root.tar" .
for number in 10 50; do
    {
        printf 'version: "3"\nservices:\n'
        for service in $(seq "$number"); do printf '  s%s: {image: bench-compose, command: sleep 100000, stop_signal: KILL}\n' "$service"; done
    } >"$work/$number.yml"
done
"$mini" import "$work/root.tar" bench-compose >/dev/null
peer=
if command -v docker-compose >/dev/null && docker info >/dev/null 2>&1; then
    peer=docker-compose
    docker import "$work/root.tar" bench-compose >/dev/null
fi
compose() { # NAME FILE ARGUMENTS: seconds
    local start end engine=("$mini" compose)
    [ "$1" = mini-docker ] || engine=("$1")
    start=$(date +%s.%N)
    "${engine[@]}" -p bench -f "$work/$2.yml" "${@:3}" >/dev/null 2>"$work/errors" || { cat "$work/errors" >&2; return 1; }
    end=$(date +%s.%N)
    jq -n "$end - $start"
}
for _ in $(seq "$turns"); do
    for one in mini-docker $peer; do
        compose "$one" 10 up -d >>"$work/$one.up"
        compose "$one" 10 down >>"$work/$one.down"
    done
done
compose mini-docker 50 up -d >/dev/null
for _ in 1 2 3 4 5; do compose mini-docker 50 up -d >>"$work/nothing"; done
compose mini-docker 50 down >/dev/null
median() { sort -n "$work/$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
{
    echo "| ten services | up, s | mini-docker's share | down, s | mini-docker's share |"
    echo "|---|---|---|---|---|"
    for one in mini-docker $peer; do
        jq -rn --arg one "$one" --argjson a "$(median "$one.up")" --argjson b "$(median "$one.down")" \
            --argjson ours "$(median mini-docker.up)" --argjson ours_b "$(median mini-docker.down)" \
            'def r: . * 1000 | round / 1000; "| \($one) | \($a | r) | \($ours / $a | r) | \($b | r) | \($ours_b / $b | r) |"'
    done
    echo
    echo "\`up -d\` with nothing to do on fifty services: $(jq -n "$(median nothing) * 1000 | round") ms."
    echo "Medians of $turns turns on $(date -u +%F); Linux $(uname -r), $(nproc) processors${peer:+, $(docker-compose version --short)}."
} >"$work/table"
sed -i -e '/^<!-- compose -->$/,/^<!-- end -->$/{//!d}' -e "/^<!-- compose -->$/r $work/table" benches/README.md
cat "$work/table"
share() { [ ! -e "$work/docker-compose.$1" ] || jq -n "{$1_by_compose: ($(median "mini-docker.$1") / $(median "docker-compose.$1"))}"; }
record compose "$({ share up; share down; jq -n "{nothing_ms: ($(median nothing) * 1000)}"; } | jq -s add)"
