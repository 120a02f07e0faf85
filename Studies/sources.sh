#!/bin/sh
# Images scored a second from each kind of data, beside the speed of the model alone: the test images of CIFAR-10 as
# they are, as one .npy file and as PNG files; enlarged to JPEG files of 178x218, in a folder, a .zip and a .tar, of which the
# middle is reduced to 64x64. The folder is removed at the end. Needs a C compiler (CC), libjpeg, tar and python3.
#
# usage: Studies/sources.sh GLOW CIFAR-10 FOLDER      (DEPTH, WIDTH and IMAGES may be set in the environment)
set -eu
glow=$1 cifar=$2 folder=$3 cc=${CC:-cc} depth=${DEPTH:-8} width=${WIDTH:-128} images=${IMAGES:-10000}
mkdir -p "$(dirname "$folder")"
mkdir "$folder"
trap 'rm -rf "$folder"' EXIT

# Speed does not depend on the weights.
"$glow" train --data faces --limit 64 --out "$folder/run" --depth "$depth" --width "$width" --steps 1 --log-every 0 \
  --sample-every 0 > "$folder/log" 2>&1
"$glow" data "$cifar" --split test --limit "$images" --export "$folder/images.npy" > "$folder/log"
"$glow" data "$cifar" --split test --limit "$images" --export "$folder/png" > "$folder/log"

# Photographs are larger and fewer, and their model has more to do.
jpegs=$((images / 10))
"$glow" data "$cifar" --split test --limit "$jpegs" --export "$folder/few.npy" > "$folder/log"
"$cc" -O2 "$(dirname "$0")/jpegs.c" -o "$folder/jpegs" -ljpeg
mkdir "$folder/jpeg"
"$folder/jpegs" "$folder/few.npy" "$folder/jpeg"
(cd "$folder" && python3 -m zipfile -c jpeg.zip jpeg && tar -cf jpeg.tar jpeg)
"$glow" data "$folder/jpeg" --limit 64 --crop 148 --image-size 64 --export "$folder/first.npy" > "$folder/log"
"$glow" train --data "$folder/first.npy" --out "$folder/larger" --depth "$depth" --width "$width" --steps 1 --batch 16 \
  --log-every 0 --sample-every 0 > "$folder/log" 2>&1

model() {
  "$glow" bench evaluate --depth "$depth" --width "$width" --batch 64 --image-size "$1" --runs "$2" |
    sed -n 's/.*evaluate: \([0-9.]*\) images.*/\1/p'
}
source() {
  run=$1
  shift
  "$glow" evaluate "$folder/$run" --data "$@" | sed -n 's/.*images, \([0-9.]*\) images\/s/\1/p'
}
photographs() { source larger "$1" --crop 148 --image-size 64; }

echo "depth $depth, width $width, batch 64:"
echo "| source | images/s |"
echo "|---|---|"
echo "| the model alone, 32×32 | $(model 32 25) |"
echo "| CIFAR-10 batches | $(source run "$cifar" --limit "$images") |"
echo "| .npy | $(source run "$folder/images.npy") |"
echo "| PNG files | $(source run "$folder/png") |"
echo "| the model alone, 32×32, again | $(model 32 25) |"
echo "| the model alone, 64×64 | $(model 64 9) |"
echo "| 178×218 JPEG files, --crop 148 --image-size 64 | $(photographs "$folder/jpeg") |"
echo "| the same in a .zip | $(photographs "$folder/jpeg.zip") |"
echo "| the same in a .tar | $(photographs "$folder/jpeg.tar") |"
echo "| the model alone, 64×64, again | $(model 64 9) |"
