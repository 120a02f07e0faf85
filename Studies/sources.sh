#!/bin/sh
# Images scored a second from each kind of data, beside the speed of the model alone: the test images of CIFAR-10 as
# they are, as one .npy file and as PNG files; enlarged to JPEG files of 178x218, in a folder, a .zip and a .tar, of which the
# middle is reduced to 64x64; and what of the time and of the processors' time reading takes. The folder is removed at the end. Needs a C compiler (CC), libjpeg, tar and python3.
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

# Each row by itself, so that a command that fails ends the study.
model() { # NAME IMAGE-SIZE RUNS
  "$glow" bench evaluate --passes --depth "$depth" --width "$width" --batch 64 --image-size "$2" --runs "$3" > "$folder/answer"
  echo "| $1 | $(sed -n 's/.*evaluate: \([0-9.]*\) images.*/\1/p' "$folder/answer") | | |"
}
source() { # NAME RUN DATA OPTION…
  name=$1 run=$2
  shift 2
  "$glow" evaluate "$folder/$run" --data "$@" > "$folder/answer"
  echo "| $name | $(sed -n 's/.*images, \([0-9.]*\) images\/s/\1/p' "$folder/answer") |" \
    "$(sed -n 's/.* s, \([0-9.]* %\) of it waiting.*took \([0-9.]* %\) of.*/\1 | \2/p' "$folder/answer") |"
}
photographs() { source "$1" larger "$2" --crop 148 --image-size 64; }

echo "depth $depth, width $width, batch 64:"
echo "| source | images/s | waiting for images | reading, of the processors' time |"
echo "|---|---|---|---|"
model "the model alone, 32×32" 32 25
source "CIFAR-10 batches" run "$cifar" --limit "$images"
source ".npy" run "$folder/images.npy"
source "PNG files" run "$folder/png"
model "the model alone, 32×32, again" 32 25
model "the model alone, 64×64" 64 9
photographs "178×218 JPEG files, --crop 148 --image-size 64" "$folder/jpeg"
photographs "the same in a .zip" "$folder/jpeg.zip"
photographs "the same in a .tar" "$folder/jpeg.tar"
model "the model alone, 64×64, again" 64 9
