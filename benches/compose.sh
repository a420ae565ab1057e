#!/bin/bash
# A project of ten services up and down, beside docker-compose, in turns, and `up` with nothing to do on fifty. Needs root, jq, and for
# the peer docker-compose and a dockerd that runs.
#
#   benches/compose.sh [TURNS]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/common.sh
turns=${1:-3}
peer=
compose() { # NAME FILE ARGUMENTS
    local engine=("$mini" compose)
    [ "$1" = mini-docker ] || engine=("$1")
    "${engine[@]}" -p bench -f "$work/$2.yml" "${@:3}"
}
clean() {
    for one in mini-docker $peer; do
        for number in 10 50; do compose "$one" "$number" down -t 0 >/dev/null 2>&1 || true; done
    done
    "$mini" network prune -f >/dev/null 2>&1 || true
    docker rmi -f bench-compose >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT
make_root sleep
for number in 10 50; do
    {
        printf 'version: "3"\nservices:\n'
        for service in $(seq "$number"); do printf '  s%s: {image: bench-compose, command: sleep 100000, stop_signal: KILL}\n' "$service"; done
    } >"$work/$number.yml"
done
"$mini" import "$work/root.tar" bench-compose >/dev/null
if command -v docker-compose >/dev/null && docker info >/dev/null 2>&1; then
    peer=docker-compose
    docker import "$work/root.tar" bench-compose >/dev/null
fi
for _ in $(seq "$turns"); do
    for one in mini-docker $peer; do
        seconds compose "$one" 10 up -d >>"$work/$one.up"
        seconds compose "$one" 10 down >>"$work/$one.down"
    done
done
compose mini-docker 50 up -d >/dev/null 2>&1
for _ in 1 2 3 4 5; do seconds compose mini-docker 50 up -d >>"$work/nothing"; done
compose mini-docker 50 down >/dev/null 2>&1
nothing=$(jq -n "$(median nothing) * 1000")
{
    echo "| ten services | up, s | mini-docker's share | down, s | mini-docker's share |"
    echo "|---|---|---|---|---|"
    for one in mini-docker $peer; do row "$one" up down; done
    echo
    echo "\`up -d\` with nothing to do on fifty services: $(jq -n "$nothing | round") ms."
    echo "Medians of $turns turns on $(machine)${peer:+, $(docker-compose version --short)}."
} | publish compose
record compose "up_by_compose=$(share up docker-compose)" "down_by_compose=$(share down docker-compose)" "nothing_ms=$nothing"
