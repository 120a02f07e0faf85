#!/bin/sh
# What `make demo` does: demo.sh GLOW RUN MAKE
set -eu
glow=$1 run=$2 make=$3
times=

part() { # NAME COMMAND…: runs the command, and remembers how long it took
  name=$1
  shift
  echo "== $name"
  start=$(date +%s)
  "$@"
  times="$times$(printf '%6d s  %s' $(($(date +%s) - start)) "$name")
"
}

part "building" "$make" --no-print-directory deps build
# A demo begins anew; what is no run is not for it to remove.
if [ -e "$run" ] && [ ! -e "$run/config.json" ]; then
  echo "$run is there and is no run: remove it, or give another folder (make demo RUN=FOLDER)" >&2
  exit 64
fi
rm -rf "$run"
part "training" "$glow" train --data faces --out "$run" --levels 3 --depth 6 --width 96 --batch 8 \
  --lr-final 0.01 --ema-images 2000 --steps 4800 --log-every 400 --eval-every 2400 --sample-every 1200 \
  --checkpoint-every 2400
part "scoring" "$glow" evaluate "$run" --data faces
part "sampling" "$glow" sample "$run" --count 48 --temperature 0.7 --out "$run/samples.png"
part "decoding latents" "$glow" reconstruct "$run" --data faces --out "$run/reconstruction.png"
# More of a smile than a probe of pixels needs to see one: as much as a person does.
part "interpolating, and finding what a smile is" \
  "$glow" sheet "$run" --data faces --name Smiling --strength 2.1 --limit 4000 --scale 3 --out "$run/sheet.png"
echo "look at $run/sheet.png: samples, an interpolation and a smile added"
echo "(also $run/samples.png, and $run/reconstruction.png with decoded latents below their originals)"
printf 'where the time went:\n%s' "$times"
