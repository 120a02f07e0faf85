#!/bin/sh
# Images scored a second from each kind of data, beside the speed of the model alone: the test images of CIFAR-10 as
# they are, as one .npy file and as PNG files. The folder is removed at the end.
#
# usage: Studies/sources.sh GLOW CIFAR-10 FOLDER      (DEPTH, WIDTH and IMAGES may be set in the environment)
set -eu
glow=$1 cifar=$2 folder=$3 depth=${DEPTH:-8} width=${WIDTH:-128} images=${IMAGES:-10000}
mkdir -p "$(dirname "$folder")"
mkdir "$folder"
trap 'rm -rf "$folder"' EXIT

# Speed does not depend on the weights.
"$glow" train --data faces --limit 64 --out "$folder/run" --depth "$depth" --width "$width" --steps 1 --log-every 0 \
  --sample-every 0 > "$folder/log" 2>&1
"$glow" data "$cifar" --split test --limit "$images" --export "$folder/images.npy" > "$folder/log"
"$glow" data "$cifar" --split test --limit "$images" --export "$folder/png" > "$folder/log"

model() {
  "$glow" bench evaluate --depth "$depth" --width "$width" --batch 64 --runs 25 |
    sed -n 's/.*evaluate: \([0-9.]*\) images.*/\1/p'
}
source() { "$glow" evaluate "$folder/run" --data "$1" --limit "$images" | sed -n 's/.*images, \([0-9.]*\) images\/s/\1/p'; }

echo "depth $depth, width $width, batch 64:"
echo "| source | images/s |"
echo "|---|---|"
echo "| the model alone | $(model) |"
echo "| CIFAR-10 batches | $(source "$cifar") |"
echo "| .npy | $(source "$folder/images.npy") |"
echo "| PNG files | $(source "$folder/png") |"
echo "| the model alone, again | $(model) |"
