# Sourced by the scripts beside it, in the repository's root: who takes part, how long it takes, and where it is written down.
# shellcheck shell=bash

# What cargo built of the workspace.
built=$(realpath -m "${CARGO_TARGET_DIR:-target}")/release
mini=${MINI_DOCKER:-$built/mini-docker}
# Where all is kept that a script makes; who exits removes it.
work=$(mktemp -d)
export MINI_DOCKER_ROOT=$work/store

# Goes on in a mount namespace where all contestants see the machine alike: crun, which podman uses, refuses the hybrid layout
# of cgroups.
same_view() { # ARGUMENTS: those of the script
    if [ -z "${SAME_VIEW-}" ]; then
        rmdir "$work"
        exec env SAME_VIEW=1 unshare -m bash "$PWD/benches/${0##*/}" "$@"
    fi
    ! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified
}

# The contestants that are installed, a word each.
contestants() {
    local here=(mini-docker)
    ! docker info >/dev/null 2>&1 || here+=(docker)
    ! command -v podman >/dev/null || here+=(podman)
    echo "${here[@]}"
}

# A command of a contestant's.
engine() { # NAME ARGUMENTS
    case $1 in
    mini-docker) "$mini" "${@:2}" ;;
    docker) docker "${@:2}" ;;
    podman) podman --root "$work/podman" --runroot "$work/podman-run" --network-config-dir "$work/podman-networks" "${@:2}" ;;
    esac
}

# Options for `run` and `build`: podman's own limits are higher than some machines let anybody raise them.
limits() { # NAME
    [ "$1" != podman ] || echo --ulimit nofile=1024:1024 --ulimit nproc=1000:1000
}

# A root filesystem of busybox and these applets, as an archive: $work/root.tar.
make_root() { # APPLETS
    local applet
    mkdir -p "$work/root/bin" "$work/root/tmp" "$work/root/etc"
    cp "$(command -v busybox)" "$work/root/bin/busybox"
    for applet in "$@"; do ln -s busybox "$work/root/bin/$applet"; done
    tar -C "$work/root" -cf "$work/root.tar" .
}

# How many seconds a command takes. What it says is shown if it fails.
seconds() { # COMMAND
    local start end
    start=$(date +%s.%N)
    "$@" >"$work/said" 2>&1 </dev/null || { cat "$work/said" >&2; return 1; }
    end=$(date +%s.%N)
    jq -n "$end - $start"
}

# The middle line of a file of $work.
median() { # FILE
    sort -n "$work/$1" | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'
}

# Mini-docker's share of a contestant's median, or nothing where it was not there.
share() { # FILES' END, NAME
    [ ! -s "$work/$2.$1" ] || jq -n "$(median "mini-docker.$1") / $(median "$2.$1")"
}

# A row of a table: a name, and for each of these measurements the median seconds and mini-docker's share of them.
row() { # NAME FILES' ENDS
    local measured
    printf '| %s' "$1"
    for measured in "${@:2}"; do
        if [ -s "$work/$1.$measured" ]; then
            jq -jn --argjson t "$(median "$1.$measured")" --argjson share "$(share "$measured" "$1")" \
                'def r: . * 1000 | round / 1000; " | \($t | r) | \($share | r)"'
        else
            printf ' |  | '
        fi
    done
    echo ' |'
}

# When and where.
machine() { echo "$(date -u +%F); Linux $(uname -r), $(nproc) processors"; }

# Prints a table that standard input brings, and writes it down, between its marks of benches/README.md too; but not with BENCHES_DRY.
publish() { # NAME
    tee "$work/table"
    [ -z "${BENCHES_DRY-}" ] || return 0
    cp "$work/table" "benches/results/$1.md"
    sed -i -e "/^<!-- $1 -->\$/,/^<!-- end -->\$/{//!d}" -e "/^<!-- $1 -->\$/r $work/table" benches/README.md
}

# Writes down what `benches -- budgets` reads: figures that are not there are null.
record() { # NAME FIGURES: words NAME=FIGURE
    local name=$1
    shift
    [ -z "${BENCHES_DRY-}" ] || return 0
    for figure in "$@"; do jq -n --arg name "${figure%%=*}" --argjson figure "${figure#*=}" '{($name): $figure}' 2>/dev/null || true; done |
        jq -s --arg date "$(date -u +%F)" --arg kernel "$(uname -r)" --argjson processors "$(nproc)" \
            '{date: $date, machine: {kernel: $kernel, processors: $processors}, figures: (add // {})}' >"benches/results/$name.json"
}
