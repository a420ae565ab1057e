#!/bin/bash
# Networks beside docker, in one run: starts, throughput, names, and what many containers cost. Needs root, a dockerd that
# DOCKER_HOST names, hyperfine, nsenter, jq, and release builds of the engine and of benches/src/bin/traffic.rs.
#
#   benches/networks.sh [RUNS [MANY]]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/record.sh
runs=${1:-20} many=${2:-500}
mini=${MINI_DOCKER:-$PWD/target/release/mini-docker}
traffic=${TRAFFIC:-$PWD/target/release/traffic}
work=$(mktemp -d)
export MINI_DOCKER_ROOT=$work/store
pids=()
clean() {
    kill "${pids[@]}" 2>/dev/null || true
    for engine in "$mini" docker; do
        # shellcheck disable=SC2046 # one word an id
        "$engine" rm -f $("$engine" ps -aq --filter label=networks-bench) >/dev/null 2>&1 || true
        "$engine" network rm bench >/dev/null 2>&1 || true
    done
    "$mini" network prune -f >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

mkdir -p "$work/root/bin" "$work/root/tmp"
cp "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sleep"
ln -s busybox "$work/root/bin/true"
tar -C "$work/root" -cf "$work/image.tar" .
for engine in "$mini" docker; do
    "$engine" import "$work/image.tar" networks-bench >/dev/null
done
# Room for all of them.
"$mini" network create --subnet 10.96.0.0/16 bench >/dev/null
docker network create bench >/dev/null

up() { # ENGINE NAME ARGUMENTS...: prints the process
    local engine=$1 name=$2
    shift 2
    "$engine" run -d --label networks-bench --name "$name" "$@" networks-bench sleep 1000 >/dev/null
    "$engine" inspect -f '{{.State.Pid}}' "$name"
}
inside() { nsenter -t "$1" -n "${@:2}"; }

# Whole starts of both in turns, in ms.
starts() {
    local engine from
    for _ in $(seq "$((runs + 2))"); do
        for engine in "$mini" docker; do
            from=$(date +%s%N)
            "$engine" run --rm --network bench -p 0:80 networks-bench true >/dev/null </dev/null
            echo "$((($(date +%s%N) - from) / 1000))" >>"$work/starts-${engine##*/}"
        done
    done
}
# Without those that warm up.
middle() { tail -n "$runs" "$work/starts-${1##*/}" | sort -n | awk '{ a[NR] = $1 } END { printf "%.1f\n", a[int((NR + 1) / 2)] / 1000 }'; }

# What one engine does, a figure a line.
measure() {
    local engine=$1 server client address port host echo
    middle "$engine"
    server=$(up "$engine" bench-server --network bench -p 0:80)
    client=$(up "$engine" bench-client --network bench)
    address=$("$engine" inspect -f '{{.NetworkSettings.Networks.bench.IPAddress}}' bench-server)
    port=$("$engine" port bench-server 80 | head -n 1 | sed 's/.*://')
    host=$("$engine" inspect -f '{{.NetworkSettings.Networks.bench.Gateway}}' bench-server)
    nsenter -t "$server" -n "$traffic" sink 0.0.0.0:80 >/dev/null 2>&1 &
    pids+=($!)
    until inside "$client" "$traffic" connect "$address:80" 1 >/dev/null 2>&1; do sleep 0.05; done
    inside "$client" "$traffic" pour "$address:80" 3
    "$traffic" pour "$host:$port" 3
    "$traffic" pour "127.0.0.1:$port" 3
    inside "$client" "$traffic" ask bench-server 3
    inside "$client" "$traffic" wait bench-server 3000
    # In the place of the resolver a program that does nothing else.
    nsenter -t "$client" -n "$traffic" echo 127.0.0.12:53 >/dev/null 2>&1 &
    echo=$!
    sleep 0.2
    inside "$client" "$traffic" bounce 127.0.0.12:53 3000
    kill "$echo"
}

# The start of one more, and a new connection to a published port, in ms and µs, with so many up.
crowd() {
    local port
    for number in $(seq "$(("$("$mini" ps -q | wc -l)" + 1))" "$1"); do
        "$mini" run -d --label networks-bench --name "crowd-$number" --network bench -p 0:80 networks-bench sleep 1000 >/dev/null
    done
    port=$("$mini" port bench-server 80 | head -n 1 | sed 's/.*://')
    hyperfine -N --warmup 2 --runs "$runs" --export-json "$work/start.json" \
        "$mini run --rm --network bench -p 0:80 networks-bench true" >/dev/null 2>&1 </dev/null
    jq '.results[0].median * 10000 | round / 10' "$work/start.json"
    "$traffic" connect "$("$mini" inspect -f '{{.NetworkSettings.Networks.bench.Gateway}}' bench-server):$port" 1000
}

starts
measure "$mini" >"$work/ours"
crowd 5 >"$work/few"
crowd "$many" >"$work/many"
measure docker >"$work/theirs"

{
    echo "| | mini-docker | docker | ratio |"
    echo "|---|---|---|---|"
    names='start with a bridge and a published port, ms
container to container, Gbit/s
to a published port by the host'"'"'s address, Gbit/s
to a published port by localhost, Gbit/s
answers of the resolver per second
one answer, µs
one answer of a program that only sends back, µs'
    paste -d'|' <(echo "$names") "$work/ours" "$work/theirs" |
        awk -F'|' '{ printf "| %s | %s | %s | %.2f |\n", $1, $2, $3, $2 / $3 }'
    echo
    echo "| | with 5 containers up | with $many | ratio |"
    echo "|---|---|---|---|"
    printf 'one more start, ms\na new connection to a published port, µs\n' | paste -d'|' - "$work/few" "$work/many" |
        awk -F'|' '{ printf "| %s | %s | %s | %.2f |\n", $1, $2, $3, $3 / $2 }'
    echo
    echo "Medians of $runs starts on $(date -u +%F); Linux $(uname -r), $(nproc) processors, docker $(docker version --format "{{.Server.Version}}")."
} >"$work/table"
cat "$work/table"
sed -i -e "/<!-- networks -->/,/<!-- end -->/{//!d}" -e "/<!-- networks -->/r $work/table" benches/README.md
ratios=$(paste -d' ' "$work/ours" "$work/theirs" | awk '{ print $1 / $2 }' | jq -s .)
crowds=$(paste -d' ' "$work/many" "$work/few" | awk '{ print $1 / $2 }' | jq -s .)
record networks "$(jq -n --argjson r "$ratios" --argjson c "$crowds" '
    {start_by_docker: $r[0], between_by_docker: $r[1], host_by_docker: $r[2], localhost_by_docker: $r[3],
     answers_by_docker: $r[4], answer_by_docker: $r[5], start_many_by_few: $c[0], connection_many_by_few: $c[1]}')"
