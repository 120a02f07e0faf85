#!/bin/sh
# What speed more cores would bring: glow bench --simulate for models and batches (depth x width x batch), as a table of predictions with
# the parts of a pass that lose most, and beside them what this machine's own threads reach, measured in turns with one.
#
# usage: Studies/simulated-cores.sh GLOW      (CORES="2,4,16,64,128", RUNS, BANDWIDTH in GB/s and MODELS may be set in the environment)
set -eu
glow=$1 runs=${RUNS:-5}
cores=${CORES:-2,4,16,64,128}
models=${MODELS:-"8x512x256 8x512x64 8x512x32 8x512x16 8x128x256 8x128x64 8x128x32 8x128x16 32x512x16"}
echo "| depth x width x batch | job | threads | images/s | efficiency | lost most in |"
echo "|---|---|---|---|---|---|"
for model in $models; do
  depth=${model%%x*} rest=${model#*x}
  width=${rest%x*} batch=${rest#*x}
  for job in train evaluate; do
    "$glow" bench "$job" --depth "$depth" --width "$width" --batch "$batch" --runs "$runs" --simulate "$cores" \
      ${BANDWIDTH:+--bandwidth "$BANDWIDTH"} --quiet | awk -v model="$model" -v job="$job" '
      /measured/ {
        sub(/.*measured /, "")
        printf "| %s | %s | 1, measured | %s | | |\n", model, job, $1
        printf "| %s | %s | %s, measured | %s | %.1f %% | |\n", model, job, $NF, $(NF - 2), 100 * $(NF - 2) / $1 / $NF
      }
      /predicted/ {
        lost = /lost in/ ? $0 : ""
        sub(/.*lost in /, "", lost)
        sub(/^ +/, "")
        printf "| %s | %s | %s | %s | %s %% | %s |\n", model, job, $1, $4, $7, lost
      }'
  done
done
