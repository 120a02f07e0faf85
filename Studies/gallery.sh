#!/bin/sh
# The pictures of docs/gallery.md, made anew in the folder OUT by three models: of the built-in faces, of CIFAR-10 and of MNIST.
#
# usage: Studies/gallery.sh GLOW FACES CIFAR DIGITS DATA OUT      (three runs; DATA holds CIFAR-10's binary batches)
set -eu
glow=$1 faces=$2 cifar=$3 digits=$4 data=$5 out=$6

mkdir -p "$out"
images=$(mktemp -d)
trap 'rm -rf "$images"' EXIT
"$glow" data faces --split test --limit 20 --export "$images/faces"
"$glow" data "$data" --split test --limit 20 --export "$images/cifar"
face() { echo "$images/faces/0000$1.png"; }

# samples NAME RUN: at two temperatures.
samples() {
  "$glow" sample "$2" --count 36 --temperature 0.7 --seed 1 --out "$out/$1-samples-07.png"
  "$glow" sample "$2" --count 36 --temperature 1 --seed 1 --out "$out/$1-samples-1.png"
}
# temperatures NAME RUN: at many from the same ε.
temperatures() {
  "$glow" sample "$2" --temperature 0,0.25,0.5,0.6,0.7,0.8,0.9,1 --count 6 --out "$out/$1-temperatures.png"
}
samples faces "$faces"
samples cifar "$cifar"
samples digits "$digits"
temperatures faces "$faces"
temperatures cifar "$cifar"

"$glow" interpolate "$faces" "$(face 03)" "$(face 10)" --steps 10 --out "$out/faces-linear.png"
"$glow" interpolate "$faces" "$(face 03)" "$(face 10)" --steps 10 --method spherical --out "$out/faces-spherical.png"
"$glow" interpolate "$faces" "$(face 03)" "$(face 06)" "$(face 13)" "$(face 10)" --grid 6 --out "$out/faces-grid.png"
"$glow" interpolate "$cifar" "$images/cifar/airplane/000002.png" "$images/cifar/dog/000007.png" --steps 10 --out "$out/cifar-linear.png"

"$glow" attribute "$faces" --data faces --all --out "$images/attributes"
"$glow" attribute "$cifar" --data "$data" --all --out "$images/classes"
# manipulate RUN IMAGE FOLDER NAMES OPTIONS…: a row for each attribute of a folder.
manipulate() {
  run=$1 image=$2 folder=$3 names=$4
  shift 4
  for name in $names; do set -- "$@" --attribute "$folder/$name.npy"; done
  "$glow" manipulate "$run" "$image" "$@"
}
manipulate "$faces" "$(face 03)" "$images/attributes" "Smiling Blond_Hair Eyeglasses Long_Hair Open_Mouth" \
  --strengths -0.5,0,0.5,0.75,1,1.25,1.5 --out "$out/faces-attributes.png"
manipulate "$faces" "$(face 03)" "$images/attributes" Smiling \
  --strengths 0,1.8 --animate "$out/faces-smile.png" --frames 12 --scale 3
manipulate "$cifar" "$images/cifar/ship/000006.png" "$images/classes" "airplane automobile frog truck" \
  --strengths=-2,-1.5,-1,-0.5,0,0.5,1,1.5,2 --out "$out/cifar-attributes.png"
"$glow" plot "$cifar" --samples "$out/cifar-training.png"
"$glow" plot "$cifar" --out "$out/training.png"
