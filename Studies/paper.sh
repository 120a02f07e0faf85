#!/bin/sh
# The table of Glow's paper at the size of a CPU: {reversal, shuffle, 1×1 convolution} × {additive, affine} at depth 8 and width
# 128, and RealNVP, each with the same time on the cores and several seeds, on CIFAR-10's test images.
#
# A run has as many steps as its model makes in BUDGET core-hours at the speed of one core, measured once. RealNVP is
# realnvp-BLOCKSxWIDTH: that of its paper (8x64) makes a few images a second; realnvp-BLOCKSxWIDTH-normalized has batch
# normalization between its couplings too. Two runs (JOBS) are made at a time. At the end, also if a run has failed, prints the table
# of what is finished, and draws all curves against images and core-hours: RESULTS/curves.png, which is docs/paper.png for
# Studies/results/paper. What RESULTS holds is not done again (runs.sh).
#
# usage: Studies/paper.sh GLOW CIFAR OUT RESULTS      (SEEDS, BUDGET, BATCH, JOBS and MODELS may be set in the environment)
set -eu
glow=$1 data=$2 out=$3 results=$4
seeds=${SEEDS:-3} budget=${BUDGET:-4} batch=${BATCH:-16} jobs=${JOBS:-2}
models=${MODELS:-"reverse-additive shuffle-additive invconv-additive reverse-affine shuffle-affine invconv-affine realnvp-8x64"}
. "$(dirname "$0")/runs.sh"

# How channels are mixed does not change the speed: each way is a matrix.
kind() { case $1 in realnvp-*) echo "$1" ;; *) echo "glow-${1#*-}" ;; esac }
options() { # MODEL: those that make it
  case $1 in
  realnvp-*)
    case $1 in *-normalized) normalization=batch ;; *) normalization=none ;; esac
    echo "--architecture realnvp --flow-normalization $normalization $(echo "${1#realnvp-}" |
      sed 's/-normalized//; s/^\([0-9]*\)x/--blocks \1 --width /')"
    ;;
  *) echo "--depth 8 --width 128 --coupling ${1#*-}" ;;
  esac
}
# Each with the optimizer of its paper. RealNVP's limit of the norm bounds accidents alone.
training() {
  case $1 in
  realnvp-*) echo "--optimizer adam --lr 1e-3 --clip-norm 100" ;;
  *) echo "--optimizer adamax --lr 4e-3 --permutation ${1%-*}" ;;
  esac
}

if [ "${STUDY_LINE:-}" ]; then # one of those below
  model=${STUDY_LINE% *} seed=${STUDY_LINE#* }
  # shellcheck disable=SC2046
  run "$model-$seed" "$(kind "$model")" "$budget" "$batch" $(options "$model") $(training "$model") --seed "$seed" --flip
  exit
fi

keep "budget $budget, batch $batch"
# shellcheck disable=SC2046
for model in $models; do speed "$(kind "$model")" --batch "$batch" $(options "$model"); done
for seed in $(seq "$seeds"); do
  for model in $models; do echo "$model $seed"; done
done | each "$0" "$@" || failed=1

echo "| model | seeds | images seen | images/s of training on a core | of it actnorm and channel mixing | test bits/dim |" \
  "standard deviation over seeds |"
echo "|---|---|---|---|---|---|---|"
for model in $models; do
  for seed in $(seq "$seeds"); do
    folder=$results/$model-$seed
    [ -e "$folder/result" ] || continue
    echo "$(field bits_per_dim <"$folder/result") $(field images <"$folder/result") $(cat "$results/$(kind "$model").speed")"
  done | awk -v model="$model" '
    { n++; sum += $1; squares += $1 * $1; images = $2; speed = $3; share = NF > 4 ? sprintf("%.1f %%", 100 * $5) : "–" }
    END {
      if (n == 0) exit
      mean = sum / n
      variance = n > 1 ? (squares - n * mean * mean) / (n - 1) : 0
      spread = n > 1 ? sprintf("%.4f", sqrt(variance > 0 ? variance : 0)) : "–"
      printf "| %s | %d | %d | %.1f | %s | %.4f | %s |\n", model, n, images, speed, share, mean, spread
    }'
done
set --
for model in $models; do
  for seed in $(seq "$seeds"); do
    if [ -e "$results/$model-$seed/result" ]; then set -- "$@" "$results/$model-$seed"; fi
  done
done
[ $# -eq 0 ] || "$glow" plot "$@" --seeds --against images,core-hours --out "$results/curves.png"
exit ${failed:-0}
