#!/bin/bash
# The main job, visibly: each command is shown before its output. Uses a store of its own, gone at the end.
set -eu
cd "$(dirname "$0")/.."
export MINI_DOCKER_ROOT PATH
MINI_DOCKER_ROOT=$(mktemp -d)
PATH=$(realpath "${CARGO_TARGET_DIR:-target}")/release:$PATH
trap 'mini-docker ps -aq | xargs -r mini-docker rm -f >/dev/null; mini-docker network prune -f; rm -rf "$MINI_DOCKER_ROOT"' EXIT
show() {
    printf '\n\033[1m$ %s\033[0m\n' "$*"
    eval "$*"
}
note() { printf '\n# %s\n' "$*"; }

note 'A root filesystem, from Debian, straight into an image'
show './rootfs-fetch.sh busybox --mini-docker mini-docker --import busybox'
show 'mini-docker images'

note 'A process in its own root, its own namespaces, its own writable overlay'
show "mini-docker run --rm --hostname box busybox sh -c 'hostname; id; ps; ls /; ip -o link'"

note 'What it writes is gone with it, and the image is as it was'
show "mini-docker run --rm busybox sh -c 'rm -rf /etc/passwd /root; echo mine > /hello; ls /'"
show 'mini-docker run --rm busybox ls /'

note 'In the background: its log, its state, its end'
show "mini-docker run -d --name clock busybox sh -c 'trap \"echo bye; exit 3\" TERM; while :; do date; sleep 1; done'"
show 'mini-docker ps'
show 'mini-docker stop clock'
show 'mini-docker logs clock'
show 'mini-docker ps -a'
show 'mini-docker rm clock'

note 'On a network: a published port, and a neighbour that is found by name'
show 'mini-docker network create blue'
show "mini-docker run -d --name web --network blue -p 127.0.0.1:18080:80 busybox sh -c 'echo hello from the web > /index.html; exec httpd -f -h /'"
show 'mini-docker port web'
show 'until busybox wget -qO- http://127.0.0.1:18080/; do sleep 0.1; done'
show 'mini-docker run --rm --network blue busybox nslookup web'
show 'mini-docker run --rm --network blue busybox wget -qO- http://web/'
show 'mini-docker rm -f web'
show 'mini-docker network rm blue'

note 'Several services from one file: each starts when what it depends on is healthy'
show 'cat book/examples/hello/compose.yaml'
show 'mini-docker compose -f book/examples/hello/compose.yaml up -d'
show 'curl -s http://127.0.0.1:18081/ || busybox wget -qO- http://127.0.0.1:18081/'
show 'mini-docker compose -p hello ps'
show 'mini-docker compose -p hello logs'
note 'When one machine is not enough: manifests for Kubernetes, and what they cannot carry'
show 'mini-docker compose -f book/examples/hello/compose.yaml config --format kubernetes'
show 'mini-docker compose -f book/examples/hello/compose.yaml down -v'
show 'mini-docker leaks'

note 'What it may do, and what it may use'
show "mini-docker run --rm busybox grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status"
show "mini-docker run --rm busybox mount -t tmpfs none /tmp || true"
show "mini-docker run --rm --memory 16m --memory-swap 16m busybox dd if=/dev/zero of=/dev/null bs=64M count=1 || echo \"exit code \$?\""
show "mini-docker run --rm --pids-limit 10 busybox sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done; wait' || true"

note 'How it is done: every primitive, as it acted'
show 'mini-docker run --rm --explain busybox echo hello from a container'
