#!/bin/sh
# How well each score of a model of CIFAR-10 tells other images from CIFAR-10's: a table of AUROC, and in a folder the
# records and histograms of every set.
#
# usage: Studies/detect.sh GLOW MODEL CIFAR-10 MNIST OUT      (IMAGES of each set may be set in the environment)
set -eu
glow=$1 model=$2 cifar=$3 mnist=$4 out=$5 images=${IMAGES:-2000}

# The training images are scored only for a model that does not keep their mean.
train=$cifar
case $("$glow" inspect "$model") in *"glow.mean_training_bits_per_dim: "*) train= ;; esac

echo "| other images | bits/dim of CIFAR-10 | bits/dim of the others | AUROC bits/dim | AUROC complexity | AUROC typicality |"
echo "|---|---|---|---|---|---|"
for set in "$mnist" faces constant noise; do
  name=$(basename "$set")
  mkdir -p "$out/$name"
  "$glow" detect "$model" --in "$cifar" --out "$set" ${train:+--train "$train"} --limit "$images" --scores "$out/$name" \
    > "$out/$name/table.txt"
  awk -v name="$name" '
    $1 == "in:" || $1 == "out:" { match($0, /bits\/dim [0-9.]+/); bits[$1] = substr($0, RSTART + 9, RLENGTH - 9) }
    $1 ~ /^(bits_per_dim|complexity|typicality)$/ { auroc[$1] = $2 }
    END {
      printf "| %s | %s | %s | %s | %s | %s |\n", name, bits["in:"], bits["out:"], auroc["bits_per_dim"],
        auroc["complexity"], auroc["typicality"]
    }' "$out/$name/table.txt"
done
