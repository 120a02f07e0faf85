#!/bin/sh
# How speed grows with threads: glow bench with 1, 2, 4, … and all of the processors that this process may use, for three models, in
# training and scoring, once as the system places the threads and once each thread on a processor of its own. Lines of JSON go to
# FOLDER/many-cores.jsonl, of which a second call makes no line again; then come the table of images/s with its efficiency (images/s
# for each of those of one thread, for each thread) and, where python3 has matplotlib, the picture FOLDER/many-cores.png.
#
# usage: Studies/many-cores.sh GLOW FOLDER      (THREADS="1 2 4", RUNS, MODELS, JOBS and PLACINGS may be set in the environment)
set -eu
glow=$1 folder=$2 runs=${RUNS:-3} jobs=${JOBS:-evaluate train} placings=${PLACINGS:-free pinned}
models=${MODELS:-"8x512x64 8x128x64 32x512x16"}
cores=$(nproc)
if [ -z "${THREADS:-}" ]; then
  THREADS= count=1
  while [ "$count" -lt "$cores" ]; do THREADS="$THREADS $count" count=$((2 * count)); done
  THREADS="$THREADS $cores"
fi
mkdir -p "$folder"
lines=$folder/many-cores.jsonl
touch "$lines"
# The processors that may be used, one a line: first one of each core, in the order of their numbers.
allowed=$({ taskset -cp $$ | sed 's/.*: //' | tr , '\n'; lscpu -p=CPU,SOCKET,CORE; } | awk -F '[-,]' '
  /#/ { next }
  NF < 3 { for (i = $1; i <= $NF; i++) mine[i] = 1; next }
  $1 in mine { print ($2, $3) in seen, $1; seen[$2, $3] = 1 }' | sort -s -n -k1,1 | cut -d' ' -f2)

for model in $models; do
  depth=${model%%x*} rest=${model#*x}
  width=${rest%x*} batch=${rest#*x}
  for job in $jobs; do
    for threads in $THREADS; do
      for placing in $placings; do
        key="\"study\":\"$model $job $threads $placing\""
        ! grep -qF "$key" "$lines" || continue
        set -- "$glow" bench "$job" --depth "$depth" --width "$width" --batch "$batch" --runs "$runs" \
          --threads "$threads" --json --quiet
        if [ "$placing" = pinned ]; then
          set -- taskset -c "$(printf '%s\n' "$allowed" | head -n "$threads" | paste -sd,)" "$@" --pin
        fi
        # Threads without a processor of their own would only show how they get on.
        [ "$threads" -le "$cores" ] || { echo "$threads threads on $cores processors: left out" >&2; continue; }
        line=$("$@")
        echo "{$key,${line#\{}" >> "$lines"
        echo "$model $job, $threads threads, $placing" >&2
      done
    done
  done
done

sed -n 's/.*"study":"\([^"]*\)".*"images_per_second":\([0-9.e+]*\).*/\1 \2/p' "$lines" | awk '
  $3 == 1 { one[$1, $2, $4] = $5 }
  { key[++rows] = $1 SUBSEP $2 SUBSEP $4; name[rows] = $1 " | " $2 " | " $4 " | " $3; threads[rows] = $3; speed[rows] = $5 }
  END {
    print "| depth x width x batch | job | threads are | threads | images/s | efficiency |\n|---|---|---|---|---|---|"
    for (row = 1; row <= rows; row++) {
      base = one[key[row]]
      printf "| %s | %.1f | %s |\n", name[row], speed[row],
        base ? sprintf("%.0f %%", 100 * speed[row] / base / threads[row]) : ""
    }
  }'

! python3 -c 'import matplotlib' 2> /dev/null || python3 - "$lines" "$folder/many-cores.png" <<'END_OF_PICTURE'
import collections, json, sys
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt

curves = collections.defaultdict(dict)
for line in map(json.loads, open(sys.argv[1])):
    model, job, threads, placing = line["study"].split()
    curves[f"{model}, {job}, {placing}"][int(threads)] = line["images_per_second"]
for name, speeds in curves.items():
    if 1 in speeds:
        threads = sorted(speeds)
        plt.plot(threads, [100 * speeds[t] / speeds[1] / t for t in threads], "o--" if "free" in name else "o-", label=name)
plt.xscale("log", base=2)
plt.ylim(0)
plt.xlabel("threads")
plt.ylabel("efficiency, %")
plt.legend(fontsize=7)
plt.savefig(sys.argv[2], dpi=120)
END_OF_PICTURE
