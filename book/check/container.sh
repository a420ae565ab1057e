# What checks of exercises share: a container that runs, looked at from outside. Sourced by their check.sh.
# shellcheck shell=sh
code=0

missing() {
    echo "missing: $1"
    code=1
}

child_of() {
    cut -d' ' -f1 "/proc/$1/task/$1/children" 2>/dev/null
}

# await PARENT NAME: sets child to the pid of the program NAME that PARENT has started, behind an init or not.
await() {
    while readlink "/proc/$1/exe" >/dev/null; do
        init=$(child_of "$1")
        for child in "$init" "$(child_of "${init:-0}")"; do
            [ -n "$child" ] && [ "$(cat "/proc/$child/comm" 2>/dev/null)" = "$2" ] && return
        done
        sleep 0.05
    done
    missing "the container: it has ended before $2 ran"
    exit "$code"
}

# begin COMMAND…: runs it in the reader's container, and sets child to the pid of its first process once it is COMMAND, or
# what that becomes, where the variable says so.
becomes=
begin() {
    "$PROGRAM" "$ROOTFS" "$@" &
    parent=$!
    await "$parent" "${becomes:-$1}"
}

# neighbour DEVICE: in a network namespace that stands for the host, a cable to another machine: 192.0.2.1 at DEVICE here, and
# 192.0.2.2 there, whose first process is world.
neighbour() {
    busybox ip link set lo up
    busybox unshare -n sleep 60 &
    world=$!
    here=$(readlink /proc/self/ns/net)
    until [ "$(readlink "/proc/$world/ns/net")" != "$here" ]; do sleep 0.05; done
    busybox ip link add "$1" type veth
    busybox ip link set veth0 netns "$world"
    busybox ip addr add 192.0.2.1/24 dev "$1"
    busybox ip link set "$1" up
    nsenter -t "$world" -n busybox ip addr add 192.0.2.2/24 dev veth0
    nsenter -t "$world" -n busybox ip link set veth0 up
}

# status FIELD: what /proc/PID/status says of the container's first process.
status() {
    sed -n "s/^$1:[[:space:]]*//p" "/proc/$child/status"
}

# end: kills it, and says by its exit code whether nothing was missing.
end() {
    kill -9 "$child"
    wait "$parent" 2>/dev/null
    exit "$code"
}
