#!/bin/bash
# Start-up time of `true` in a container, beside bubblewrap and crun on the same root filesystem, in one run:
# back to back, and with 100 ms between runs (where waits for the kernel's grace periods show). Needs root.
#
#   benches/startup.sh [RUNS]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
. benches/common.sh
same_view "$@"
# A tmpfs at /run, as systemd has it; and files on a new ext4. An ext4 without a journal steps around the inodes that were deleted in
# the last minutes: there each run would slow the next.
[ "$(stat -f -c %T /run)" = tmpfs ] || mount -t tmpfs -o mode=755 run /run

# In ten turns.
each=$(((${1:-200} + 9) / 10))
runs=$((each * 10))
trap 'umount "$work"; rm -rf "$work" "$work.ext4"' EXIT
truncate -s 1G "$work.ext4"
mkfs.ext4 -q "$work.ext4"
mount -o loop "$work.ext4" "$work"

./rootfs-fetch.sh busybox "$work/root.tar" >/dev/null 2>&1
mkdir "$work/bundle" "$work/bundle/rootfs"
tar -C "$work/bundle/rootfs" -xf "$work/root.tar"
"$mini" import "$work/root.tar" busybox >/dev/null
(cd "$work/bundle" && crun spec && jq '.process.terminal = false | .process.args = ["true"] | .root.readonly = false' \
    config.json >config.new && mv config.new config.json)

ours="$mini run --rm --network none busybox true"
# --unshare-all has a user namespace among them, as our containers have.
bwrap="bwrap --unshare-all --bind $work/bundle/rootfs / --proc /proc --dev /dev true"
ours_of_host="$mini run --rm --userns host --network none busybox true"
bwrap_of_host="bwrap --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try --bind $work/bundle/rootfs / --proc /proc --dev /dev true"
crun="crun run --bundle $work/bundle bench-$$"

# Each contestant's runs follow each other, but in ten turns: a machine has slower and faster seconds, and none is to have one
# of them to himself.
measure() { # NAME, and hyperfine's own arguments
    local name=$1 turn
    shift
    for turn in $(seq 10); do
        hyperfine -N --warmup 3 --runs "$each" --export-json "$work/$name.$turn.json" "$@" \
            -n mini-docker "$ours" -n bubblewrap "$bwrap" -n crun "$crun" \
            -n "mini-docker, the host's user namespace" "$ours_of_host" \
            -n "bubblewrap, the host's user namespace" "$bwrap_of_host" >/dev/null 2>&1 </dev/null
    done
    jq -s '[range(.[0].results | length) as $i | ([.[].results[$i].times] | add | sort) as $times
        | { command: .[0].results[$i].command, $times,
            median: (($times[($times | length) / 2 | floor] + $times[(($times | length) - 1) / 2 | floor]) / 2) }]
        | { results: . }' "$work/$name".*.json >"$work/$name.json"
}
measure close
measure apart --prepare 'sleep 0.1'

table() {
    echo "| contestant | back to back: median ms | p95 ms | × bubblewrap | 100 ms apart: median ms | p95 ms | × bubblewrap |"
    echo "|---|---|---|---|---|---|---|"
    jq -rn --slurpfile a "$work/close.json" --slurpfile b "$work/apart.json" '
        def ms: . * 10000 | round / 10;
        def p95: .times | sort | .[(length * 0.95 | floor)];
        def row($r; $i): ($r.results[1].median) as $base
            | $r.results[$i] | "\(.median | ms) | \(p95 | ms) | \(.median / $base * 100 | round / 100)";
        range($a[0].results | length) as $i | "| \($a[0].results[$i].command) | \(row($a[0]; $i)) | \(row($b[0]; $i)) |"'
    echo
    echo "$runs runs each, in ten turns, on $(date -u +%F); Linux $(uname -r), $(nproc) processors, $(bwrap --version), $(crun --version | head -n 1)."
}
table | publish start
of() { # FILE NUMBER: mini-docker's median over that of another
    jq ".results[0].median / .results[$2].median" "$work/$1.json"
}
record start "close_by_bubblewrap=$(of close 1)" "apart_by_bubblewrap=$(of apart 1)" "close_by_crun=$(of close 2)" "apart_by_crun=$(of apart 2)"
