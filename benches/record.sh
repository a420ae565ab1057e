# Sourced by the scripts beside it.
# shellcheck shell=bash

# Writes down what `benches -- budgets` reads.
record() { # NAME FIGURES: a JSON object of ratios and figures
    jq -n --arg date "$(date -u +%F)" --argjson figures "$2" '{date: $date, figures: $figures}' >"benches/results/$1.json"
}
