#!/bin/sh
# Looks from outside at the program and at the one that started it: PROGRAM ROOTFS COMMAND…
# shellcheck source=book/check/container.sh
. "$(dirname "$0")/../../check/container.sh"
before=$(cat /proc/self/oom_score_adj)
begin sleep 30
score=$(cat "/proc/$child/oom_score_adj")
[ "$score" = 500 ] || missing "the program's /proc/PID/oom_score_adj is $score, not 500"
[ "$(cat "/proc/$parent/oom_score_adj")" = "$before" ] ||
    missing "who starts the program has changed too: its oom_score_adj is no longer $before"
end
