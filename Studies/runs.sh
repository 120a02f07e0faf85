# What studies of learning share: runs of equal time on the cores, which need not be made in one go nor on one machine.
#
# To be read (.) by a script that has set glow, data, out, results, batch and jobs. RESULTS/NAME, small enough to be kept, holds of
# each finished run its speed, its evaluations (metrics.jsonl, with core-seconds) and its result: a line of JSON. What is there is
# not done again; a run that was stopped goes on.
export LC_ALL=C

# keep SETTINGS: what all runs have in common, these and the data, must not change under those that OUT and RESULTS hold.
keep() {
  if [ ! -e "$data/test_batch.bin" ]; then
    echo "$data holds no test_batch.bin: give the folder of CIFAR-10's binary batches" >&2
    exit 64
  fi
  digest=$(cat "$data"/*.bin | sha256sum | cut -c1-16)
  keep_in "$out" "$1" STUDIES
  keep_in "$results" "$1" RESULTS
}

# keep_in FOLDER SETTINGS VARIABLE: in files of its own, the one of the data added where earlier scripts have left it out.
keep_in() {
  mkdir -p "$1"
  [ -e "$1/settings" ] || echo "$2" >"$1/settings"
  [ -e "$1/data" ] || echo "$digest" >"$1/data"
  if [ "$(cat "$1/settings")" != "$2" ]; then
    echo "$1 holds runs of $(cat "$1/settings"), asked for $2: give another folder ($3 of make)" >&2
    exit 64
  fi
  if [ "$(cat "$1/data")" != "$digest" ]; then
    echo "$1 holds runs on other images than those of $data: give another folder ($3 of make)" >&2
    exit 64
  fi
}

# field NAME < JSON
field() { sed -n 's/.*"'"$1"'": *\([0-9.e+-]*\).*/\1/p'; }

# speed KIND OPTIONS…: leaves what one core makes of a model in RESULTS/KIND.speed: images a second, GFLOP an image, and, if it has
# channel maps, their share of the time of training. The fastest of three measurements: what else the machine does only slows it.
speed() {
  kind=$1
  shift
  [ -s "$results/$kind.speed" ] && return
  for _ in 1 2 3; do
    "$glow" bench train --json --threads 1 "$@" >"$out/$kind.bench"
    echo "$(field images_per_second <"$out/$kind.bench") $(field gflops <"$out/$kind.bench")" \
      "$(field 'actnorm and 1×1 convolution' <"$out/$kind.bench")"
  done | sort -n | awk 'END { print $1, $2 / $1 ($3 == "" ? "" : " " $3) }' >"$results/$kind.speed"
}

# at_speed SPEED < metrics.jsonl: its evaluations, with the seconds that so many images a second take.
at_speed() {
  awk -v speed="$1" '
    /"test_bits_per_dim"/ {
      match($0, /"images":[0-9]+/)
      seconds = substr($0, RSTART + 9, RLENGTH - 9) / speed
      sub(/"seconds":[0-9.e+-]+/, "\"seconds\":" seconds)
      print
    }'
}

# run NAME KIND HOURS BATCH OPTIONS…: a run of so many core-hours of a model whose speed is known, and its test images' bits/dim.
#
# The curve is that of a thousand test images.
run() {
  name=$1 kind=$2 hours=$3 batch=$4
  shift 4
  [ -e "$results/$name/result" ] && return
  if [ ! -e "$out/test/test_batch.bin" ]; then
    mkdir -p "$out/test"
    head -c $((1000 * 3073)) "$data/test_batch.bin" >"$out/test/.$name"
    mv "$out/test/.$name" "$out/test/test_batch.bin"
  fi
  steps=$(awk -v hours="$hours" -v batch="$batch" \
    '{ steps = int(hours * 3600 * $1 / batch); print (steps > 8 ? steps : 8) }' "$results/$kind.speed")
  threads=$(($(nproc) / jobs > 0 ? $(nproc) / jobs : 1))
  "$glow" train --data "$data" --test "$out/test" --out "$out/$name" --batch "$batch" --steps "$steps" \
    --threads "$threads" --eval-every $((steps / 8)) --sample-every 0 --checkpoint-every $((steps / 8)) --resume "$@" \
    2>>"$out/$name.log" >&2 &&
    "$glow" evaluate "$out/$name" --data "$data" --json --threads "$threads" 2>>"$out/$name.log" >"$out/$name.score" ||
    { echo "$name: stopped; see $out/$name.log" >&2; return 1; }
  mkdir -p "$results/$name"
  # Seconds are those of one core that does nothing else.
  at_speed "$(cut -d' ' -f1 "$results/$kind.speed")" <"$out/$name/metrics.jsonl" >"$results/$name/metrics.jsonl"
  awk -v name="$name" -v kind="$kind" -v hours="$hours" -v images=$((steps * batch)) -v options="--batch $batch $*" \
    -v bits="$(field bits_per_dim <"$out/$name.score")" -v error="$(field standard_error <"$out/$name.score")" \
    -v processor="$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" '
    {
      printf "{\"name\":\"%s\",\"kind\":\"%s\",\"core_hours\":%s,\"images\":%d,\"images_per_core_second\":%s,", \
        name, kind, hours, images, $1
      printf "\"tflop\":%.1f,\"bits_per_dim\":%s,\"standard_error\":%s,\"options\":\"%s\",\"processor\":\"%s\"}\n", \
        $2 * images / 1000, bits, error, options, processor
    }' "$results/$kind.speed" >"$results/$name/result.new"
  mv "$results/$name/result.new" "$results/$name/result"
}

# each COMMAND…: `$0 ARGUMENTS` with STUDY_LINE=LINE for each line of stdin, so many at once as there are jobs.
each() { xargs -P "$jobs" -I '{}' env 'STUDY_LINE={}' "$@"; }
