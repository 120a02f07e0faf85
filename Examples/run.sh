#!/bin/sh
# Runs the examples one after the other, on the built-in faces: run.sh PROGRAMS RUNS
set -eu
programs=$1 runs=$2
rm -rf "$runs"
mkdir -p "$runs/faces"
"$programs/Train" faces "$runs/run" 20
"$programs/Sample" "$runs/run" "$runs/samples.png"
cp "$runs/samples.png" "$runs/faces/"
"$programs/Score" "$runs/run" "$runs/faces"
"$programs/Draw" "$runs/run" "$runs/faces" "$runs/scores.png"
"$programs/OwnData" "$runs/shapes"
[ -s "$runs/scores.png" ]
[ -s "$runs/samples.png" ]
# Who draws no charts links no cairo.
! ldd "$programs/Score" | grep cairo
