#!/bin/bash
# Networks beside docker and podman, in one run: starts, throughput, names, and what the kernel does with nothing in between. Needs
# root, nsenter, jq, release builds of the engine and of benches/src/bin/traffic.rs, and for the peers podman and a dockerd that runs.
#
#   benches/networks.sh [RUNS [SECONDS]]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/common.sh
same_view "$@"
runs=${1:-20} long=${2:-3}
traffic=${TRAFFIC:-$built/traffic}
pids=()
read -ra all <<<"$(contestants)"
clean() {
    kill "${pids[@]}" 2>/dev/null || true
    for one in "${all[@]}"; do
        # shellcheck disable=SC2046 # one word an id
        engine "$one" rm -f $(engine "$one" ps -aq --filter label=networks-bench) >/dev/null 2>&1 || true
        engine "$one" network rm bench >/dev/null 2>&1 || true
    done
    docker rmi -f networks-bench >/dev/null 2>&1 || true
    "$mini" network prune -f >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

make_root sleep true
for one in "${all[@]}"; do
    engine "$one" import "$work/root.tar" networks-bench >/dev/null 2>&1
    engine "$one" network create bench >/dev/null
done

run() { # NAME OPTIONS... [COMMAND]
    # shellcheck disable=SC2046 # one word an option
    engine "$1" run --label networks-bench --network bench $(limits "$1") "${@:2}"
}
up() { # NAME CONTAINER OPTIONS...: prints the process
    run "$1" -d --name "$2" "${@:3}" networks-bench sleep 1000 >/dev/null
    engine "$1" inspect -f '{{.State.Pid}}' "$2"
}
note() { cat >"$work/$1"; } # FIGURE
inside() { nsenter -t "$1" -n "${@:2}"; }
# Nobody else may have the port.
wait_for() { until "$@" 1 >/dev/null 2>&1; do sleep 0.05; done; }

# Whole starts of all in turns. The first ones warm up.
for turn in $(seq "$((runs + 2))"); do
    for one in "${all[@]}"; do
        took=$(seconds run "$one" --rm -p 80 networks-bench true)
        [ "$turn" -le 2 ] || jq -n "$took * 1000" >>"$work/$one.starts"
    done
done

for one in "${all[@]}"; do
    median "$one.starts" | jq '. * 10 | round / 10' | note "$one.start"
    server=$(up "$one" bench-server -p 80)
    client=$(up "$one" bench-client)
    address=$(engine "$one" inspect -f '{{.NetworkSettings.Networks.bench.IPAddress}}' bench-server)
    host=$(engine "$one" inspect -f '{{.NetworkSettings.Networks.bench.Gateway}}' bench-server)
    port=$(engine "$one" port bench-server 80 | head -n 1 | sed 's/.*://')
    nsenter -t "$server" -n "$traffic" sink 0.0.0.0:80 >/dev/null 2>&1 &
    pids+=($!)
    wait_for inside "$client" "$traffic" connect "$address:80"
    inside "$client" "$traffic" pour "$address:80" "$long" | note "$one.between"
    "$traffic" pour "$host:$port" "$long" | note "$one.host"
    "$traffic" pour "127.0.0.1:$port" "$long" | note "$one.localhost"
    # podman's resolver is an installation of its own.
    if [ "$one" != podman ]; then
        inside "$client" "$traffic" ask bench-server "$long" | note "$one.answers"
        inside "$client" "$traffic" wait bench-server 3000 | note "$one.answer"
    fi
    if [ "$one" = mini-docker ]; then
        # In the place of the resolver a program that does nothing else.
        nsenter -t "$client" -n "$traffic" echo 127.0.0.12:53 >/dev/null 2>&1 &
        pids+=($!)
        wait_for inside "$client" "$traffic" bounce 127.0.0.12:53
        inside "$client" "$traffic" bounce 127.0.0.12:53 3000 | note kernel.answer
    fi
done
"$traffic" sink 127.0.0.1:47801 >/dev/null 2>&1 &
pids+=($!)
wait_for "$traffic" connect 127.0.0.1:47801
"$traffic" pour 127.0.0.1:47801 "$long" | note kernel.between

figure() { [ ! -s "$work/$1" ] || cat "$work/$1"; }
ratio() { # FIGURE PEER
    [ ! -s "$work/$2.$1" ] || jq -n "$(figure "mini-docker.$1") / $(figure "$2.$1")"
}
line() { # TEXT FIGURE
    echo "| $1 | $(figure "mini-docker.$2") | $(figure "docker.$2") | $(figure "podman.$2") | $(figure "kernel.$2") | $(ratio "$2" docker | jq '. * 100 | round / 100') |"
}
{
    echo "| | mini-docker | docker | podman | the kernel alone | mini-docker : docker |"
    echo "|---|---|---|---|---|---|"
    line 'start with a bridge and a published port, ms' start
    line 'container to container, Gbit/s' between
    line "to a published port by the host's address, Gbit/s" host
    line 'to a published port by localhost, Gbit/s' localhost
    line 'answers of the resolver per second' answers
    line 'one answer, µs' answer
    echo
    echo "Medians of $runs starts on $(machine)$(docker version --format ', docker {{.Server.Version}}' 2>/dev/null || true)."
} | publish networks
record networks "start_by_docker=$(ratio start docker)" "between_by_docker=$(ratio between docker)" "host_by_docker=$(ratio host docker)" \
    "localhost_by_docker=$(ratio localhost docker)" "answers_by_docker=$(ratio answers docker)" "answer_by_docker=$(ratio answer docker)"
