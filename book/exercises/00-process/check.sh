#!/bin/sh
# Looks from outside at the program and at the one that started it: PROGRAM ROOTFS COMMAND…
before=$(cat /proc/self/oom_score_adj)
"$PROGRAM" "$ROOTFS" sleep 30 &
parent=$!
child=
for _ in $(seq 100); do
    child=$(cut -d' ' -f1 "/proc/$parent/task/$parent/children")
    [ -n "$child" ] && [ "$(cat "/proc/$child/comm")" = sleep ] && break
    sleep 0.05
done
missing() {
    echo "missing: $1"
    code=1
}
code=0
score=$(cat "/proc/$child/oom_score_adj")
[ "$score" = 500 ] || missing "the program's /proc/PID/oom_score_adj is $score, not 500"
[ "$(cat "/proc/$parent/oom_score_adj")" = "$before" ] ||
    missing "who starts the program has changed too: its oom_score_adj is no longer $before"
kill "$child"
wait "$parent" 2>/dev/null
exit $code
