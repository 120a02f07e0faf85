#!/bin/sh
# The table of Glow's paper at the size of a CPU: {reversal, shuffle, 1×1 convolution} × {additive, affine} at depth 8 and width
# 128, and RealNVP, each with the same time on the cores and several seeds, on CIFAR-10's test images.
#
# A run has as many steps as its model makes in BUDGET core-hours at the speed that is measured once, before its first seed. What is
# finished is not done again, and a run that was stopped goes on. Prints the table as it stands at the end, and draws all curves.
#
# usage: Studies/paper.sh GLOW CIFAR OUT      (SEEDS, BUDGET, BATCH, IMAGES and MODELS may be set in the environment)
set -eu
glow=$1 data=$2 out=$3
seeds=${SEEDS:-3} budget=${BUDGET:-4} batch=${BATCH:-64} images=${IMAGES:-10000}
models=${MODELS:-"reverse-additive shuffle-additive invconv-additive reverse-affine shuffle-affine invconv-affine realnvp"}
mkdir -p "$out"

# What a run is must not change under the runs that are there.
settings="budget $budget, batch $batch"
[ -e "$out/settings" ] || echo "$settings" >"$out/settings"
if [ "$(cat "$out/settings")" != "$settings" ]; then
  echo "$out holds runs of $(cat "$out/settings"), asked for $settings: give another folder" >&2
  exit 64
fi

options() { # MODEL: those that make it
  case $1 in
  realnvp) echo "--architecture realnvp" ;;
  *) echo "--depth 8 --width 128 --coupling ${1#*-}" ;;
  esac
}
mixing() { case $1 in realnvp) ;; *) echo "--permutation ${1%-*}" ;; esac }
# RealNVP as in its paper with Adam; Glow with its default.
optimizer() { case $1 in realnvp) echo "--optimizer adam --clip-norm 100" ;; *) echo "--optimizer adamax" ;; esac }

# Left in $out/MODEL.speed: images a second, and the cores that make them.
speed() {
  [ -e "$out/$1.speed" ] && return
  # The speed does not depend on how channels are mixed: each is a matrix.
  # shellcheck disable=SC2046
  "$glow" bench train --json --batch "$batch" $(options "$1") >"$out/$1.bench"
  sed -n 's/.*"images_per_second":\([0-9.e+]*\).*/\1/p' "$out/$1.bench" >"$out/$1.rate"
  sed -n 's/.*"threads":\([0-9]*\).*/\1/p' "$out/$1.bench" >"$out/$1.cores"
  echo "$(cat "$out/$1.rate") $(cat "$out/$1.cores")" >"$out/$1.speed"
  rm "$out/$1.rate" "$out/$1.cores"
}

run() { # MODEL SEED: leaves the bits/dim of the test images in $out/MODEL-SEED.result
  name=$1-$2
  [ -e "$out/$name.result" ] && return
  steps=$(awk -v hours="$budget" -v batch="$batch" \
    '{ steps = int(hours * 3600 / $2 * $1 / batch); print steps > 0 ? steps : 1 }' "$out/$1.speed")
  every=$((steps / 20 > 0 ? steps / 20 : 1))
  # shellcheck disable=SC2046
  "$glow" train --data "$data" --out "$out/$name" $(options "$1") $(mixing "$1") $(optimizer "$1") --batch "$batch" \
    --steps "$steps" --seed "$2" --flip --eval-every "$every" --sample-every 0 --checkpoint-every "$every" --resume \
    2>>"$out/$name.log" >&2 || return 1
  bits=$("$glow" evaluate "$out/$name" --data "$data" --limit "$images" 2>>"$out/$name.log" |
    sed -n 's/^bits\/dim \([0-9.]*\) ±.*/\1/p')
  echo "${bits:-none} $((steps * batch))" >"$out/$name.result"
}

seed=1
while [ "$seed" -le "$seeds" ]; do
  for model in $models; do
    speed "$model"
    run "$model" "$seed" || { echo "$model, seed $seed: stopped; see $out/$model-$seed.log" >&2; exit 1; }
  done
  seed=$((seed + 1))
done

echo "| model | seeds | images seen | images/s of training | test bits/dim | standard deviation over seeds |"
echo "|---|---|---|---|---|---|"
for model in $models; do
  cat "$out/$model"-*.result | awk -v model="$model" -v rate="$(cut -d' ' -f1 "$out/$model.speed")" '
    $1 != "none" { n++; sum += $1; squares += $1 * $1; images = $2 }
    END {
      if (n == 0) exit
      mean = sum / n
      spread = n > 1 ? sprintf("%.4f", sqrt((squares - n * mean * mean) / (n - 1) > 0 ? (squares - n * mean * mean) / (n - 1) : 0)) : "–"
      printf "| %s | %d | %d | %.1f | %.4f | %s |\n", model, n, images, rate, mean, spread
    }'
done
runs=
for model in $models; do
  for folder in "$out/$model"-*/; do [ -d "$folder" ] && runs="$runs ${folder%/}"; done
done
# shellcheck disable=SC2086
"$glow" plot $runs --out "$out/curves.png"
