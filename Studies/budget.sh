#!/bin/sh
# What learns most of CIFAR-10 in a given time on the cores: by successive halving over sizes, batches, rates and schedules.
#
# All settings of the grid have HOURS core-hours at the speed of their model on one core; the better third has four times as much,
# and its better third again, ROUNDS times in all. Prints a table a round, best first, with the images seen and the work in TFLOP
# (multiply-adds of the conditioners' products, counted as two), and draws the curves against core-hours. If a run fails, that round is
# the last. What RESULTS holds is not done again (runs.sh).
#
# usage: Studies/budget.sh GLOW CIFAR OUT RESULTS      (HOURS, ROUNDS, JOBS and GRID, a file, may be set in the environment)
#
# A line of the grid: name, kind (what decides the speed: those of one kind are equally fast), batch, the options that the speed
# depends on, then after a bar those of training that it does not.
set -eu
glow=$1 data=$2 out=$3 results=$4
hours=${HOURS:-0.25} rounds=${ROUNDS:-3} jobs=${JOBS:-2} grid=${GRID:-$(dirname "$0")/budget.grid}
. "$(dirname "$0")/runs.sh"

if [ "${STUDY_LINE:-}" ]; then # one line of the grid, with its core-hours before it
  hours=${STUDY_LINE%% *}
  line=${STUDY_LINE#* }
  training=${line#*|} line=${line%%|*}
  # shellcheck disable=SC2086
  set -- $line
  name=$1 kind=$2 batch=$3
  shift 3
  # shellcheck disable=SC2086
  speed "$kind" --batch "$batch" "$@"
  # shellcheck disable=SC2086
  set -- "$@" $training
  former=$(sed -n 's/.*"options":"\([^"]*\)".*/\1/p' "$results/$name-$hours/result" 2>/dev/null || true)
  if [ "${former:---batch $batch $*}" != "--batch $batch $*" ]; then
    echo "$results/$name-$hours is of $former, the grid has --batch $batch $*: give the line another name" >&2
    exit 64
  fi
  run "$name-$hours" "$kind" "$hours" "$batch" "$@"
  exit
fi

lines() { grep -v -e '^#' -e '^$' "$grid"; }
# best HOURS < lines of the grid: those with a result, best first.
best() {
  while read -r line; do
    result=$results/${line%% *}-$1/result
    [ ! -e "$result" ] || echo "$(field bits_per_dim <"$result") $line"
  done | sort -n | cut -d' ' -f2-
}

keep "lines of a grid, whose names and core-hours tell them apart"
# Speeds one after the other, before anything else runs.
lines | while read -r name kind batch rest; do
  # shellcheck disable=SC2086
  speed "$kind" --batch "$batch" ${rest%%|*}
done
lines >"$out/round"
for round in $(seq "$rounds"); do
  sed "s/^/$hours /" "$out/round" | each "$0" "$@" || failed=1
  echo "$hours core-hours a run:"
  echo "| settings | images seen | TFLOP | test bits/dim | standard error | options |"
  echo "|---|---|---|---|---|---|"
  best "$hours" <"$out/round" >"$out/ranked"
  while read -r line; do
    result=$results/${line%% *}-$hours/result
    echo "| ${line%% *} | $(field images <"$result") | $(field tflop <"$result") | $(field bits_per_dim <"$result") |" \
      "$(field standard_error <"$result") | $(sed 's/.*"options":"\([^"]*\)".*/\1/' "$result") |"
  done <"$out/ranked"
  [ -z "${failed:-}" ] || break
  count=$(($(wc -l <"$out/ranked") / 3))
  head -n $((count > 0 ? count : 1)) "$out/ranked" >"$out/round"
  hours=$(awk -v hours="$hours" 'BEGIN { print hours * 4 }')
done
# The curves of what was the best in a round, of the defaults and of the recipe of 2018, the lower envelope of all, and PyTorch's:
# RESULTS/peers has lines "NAME RUN SPEED", of a run whose images PyTorch takes at SPEED images a second and core, with the
# same numbers.
curves=$out/curves envelope="$out/lower envelope"
rm -rf "$curves" "$envelope"
mkdir -p "$envelope"
# curve NAME < metrics.jsonl
curve() {
  mkdir -p "$curves/$1"
  cat >"$curves/$1/metrics.jsonl"
}
cat "$results"/*/result 2>/dev/null | while read -r line; do
  echo "$(echo "$line" | field core_hours) $(echo "$line" | field bits_per_dim) $(echo "$line" | sed 's/.*"name":"\([^"]*\)".*/\1/')"
done | sort -n >"$out/ends"
cut -d' ' -f1 "$out/ends" | uniq | while read -r round; do
  name=$(awk -v round="$round" '$1 == round { print $2, $3 }' "$out/ends" | sort -n | head -1 | cut -d' ' -f2)
  curve "$name" <"$results/$name/metrics.jsonl"
done
# Of the defaults and of the recipe of 2018 the longest run.
for name in default recipe-2018; do
  longest=$(awk -v name="^$name-[0-9.]+\$" '$3 ~ name { run = $3 } END { print run }' "$out/ends")
  if [ "$longest" ]; then curve "$longest" <"$results/$longest/metrics.jsonl"; fi
done
for folder in "$results"/*/; do
  [ -e "$folder/result" ] || continue
  while read -r line; do
    echo "$(echo "$line" | field seconds) $(echo "$line" | field test_bits_per_dim) $folder"
  done <"$folder/metrics.jsonl"
done | sort -k1,1g | awk '
  # The lowest of all curves, each a line from evaluation to evaluation, where one of them has one.
  { time[NR] = $1; bits[NR] = $2; run[NR] = $3 }
  END {
    for (i = 1; i <= NR; i++) {
      low = bits[i]
      delete before
      for (j = 1; j <= NR; j++) {
        if (time[j] > time[i] && run[j] in before) {
          first = before[run[j]]
          part = (time[i] - time[first]) / (time[j] - time[first])
          between = bits[first] + part * (bits[j] - bits[first])
          if (between < low) low = between
          delete before[run[j]]
        } else if (time[j] <= time[i]) {
          before[run[j]] = j
        }
      }
      if (i > 1 && low >= lowest) continue
      lowest = low
      # What is lower at nearly the same time takes its place.
      if (!step || time[i] > 1.02 * when[step]) step++
      when[step] = time[i]
      least[step] = low
    }
    for (i = 1; i <= step; i++)
      printf "{\"epoch\":0,\"images\":0,\"seconds\":%s,\"step\":%d,\"test_bits_per_dim\":%s}\n", when[i], i, least[i]
  }' >"$envelope/metrics.jsonl"
if [ -e "$results/peers" ]; then
  while read -r name run speed; do
    [ -e "$results/$run/result" ] || continue
    at_speed "$speed" <"$results/$run/metrics.jsonl" | curve "$name"
  done <"$results/peers"
fi
# The envelope first, so that the others lie on it.
if [ -s "$out/ends" ]; then
  "$glow" plot "$envelope" "$curves"/*/ --against core-hours --logarithmic --out "$results/core-hours.png"
fi
exit ${failed:-0}
