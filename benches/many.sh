#!/bin/bash
# A thousand containers at once: what the last start costs beside the tenth, `ps`, memory, and the end of all. Needs root, jq.
#
#   benches/many.sh [COUNT]      writes the table between the marks of benches/README.md
set -eu
cd "$(dirname "$0")/.."
count=${1:-1000}
mini=${MINI_DOCKER:-$PWD/target/release/mini-docker}
work=$(mktemp -d)
export MINI_DOCKER_ROOT=$work/store
trap '"$mini" ps -aq | xargs -r "$mini" rm -f >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
mkdir -p "$work/root/bin"
cp "$(command -v busybox)" "$work/root/bin/busybox"
ln -s busybox "$work/root/bin/sleep"
tar -C "$work/root" -cf "$work/root.tar" .
"$mini" import "$work/root.tar" many >/dev/null
now() { date +%s%N; }
start() { # prints milliseconds
    local from
    from=$(now)
    "$mini" run -d --network none many sleep 100000 >/dev/null
    jq -n "($(now) - $from) / 1e6"
}
for number in $(seq "$count"); do echo "$number $(start)"; done >"$work/starts"
around() { awk -v from="$1" -v to="$2" '$1 >= from && $1 <= to { print $2 }' "$work/starts" | sort -n | awk '{ a[NR] = $1 } END { print a[int((NR + 1) / 2)] }'; }
first=$(around 6 15) last=$(around $((count - 9)) "$count")
for _ in 1 2 3 4 5; do
    from=$(now)
    "$mini" ps -q | wc -l >"$work/shown"
    jq -n "($(now) - $from) / 1e6"
done | sort -n | sed -n 3p >"$work/ps"
# What only a monitor has, of each of them.
for pid in $(pgrep -f "$work/store|$mini run -d --network none many"); do
    awk '/^Private_/ { sum += $2 } END { print sum }' "/proc/$pid/smaps_rollup" 2>/dev/null || true
done | sort -n | awk '{ a[NR] = $1 } END { print NR, a[int((NR + 1) / 2)] * 1024 / 1e6 }' >"$work/memory"
read -r monitors memory <"$work/memory"
from=$(now)
"$mini" ps -aq | xargs "$mini" rm -f >/dev/null
removed=$(jq -n "($(now) - $from) / 1e9 * 10 | round / 10")
left=$("$mini" leaks 2>&1 | head -n 1)
{
    echo "| $count containers | |"
    echo "|---|---|"
    jq -rn --argjson a "$first" --argjson b "$last" --arg n "$count" \
        '"| start of the 10th, ms | \($a * 10 | round / 10) |\n| start of the \($n)th, ms | \($b * 10 | round / 10), \($b / $a * 100 | round / 100) × |"'
    echo "| \`ps\` of $(cat "$work/shown"), ms | $(jq -n "$(cat "$work/ps") | round") |"
    echo "| private memory of each of $monitors monitors, MB | $(jq -n "$memory * 100 | round / 100") |"
    echo "| \`rm -f\` of all, s | $removed |"
    echo "| \`leaks\` after it | $left |"
    echo
    echo "Medians of ten starts each, on $(date -u +%F); Linux $(uname -r), $(nproc) processors."
} >"$work/table"
sed -i -e '/^<!-- many -->$/,/^<!-- end -->$/{//!d}' -e "/^<!-- many -->$/r $work/table" benches/README.md
cat "$work/table"
