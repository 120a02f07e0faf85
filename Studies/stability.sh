#!/bin/sh
# How many training runs end in a usable model at learning rates that are too high, with the guards and without.
#
# 20 seeds for each optimizer and rate, no warm-up, on CIFAR-10. A model is usable if `glow evaluate` gives it less
# than 8 bits/dim, which is what the images take without any model, on 1,000 held-out images. A run that is
# finished is not run again; one that was stopped goes on. Prints the table as it stands.
#
# usage: Studies/stability.sh GLOW CIFAR OUT      (STEPS, SEEDS, OPTIMIZERS, RATES and OPTIONS, of glow train, may be
# set in the environment)
set -u
glow=$1 data=$2 out=$3
seeds=${SEEDS:-20} steps=${STEPS:-150}
optimizers=${OPTIMIZERS:-"adamax adam muon"} rates=${RATES:-"1e-3 5e-3 2e-2"}
mkdir -p "$out"

# run NAME OPTIMIZER RATE SEED [OPTION]: leaves NAME.result, the bits/dim or the word none, in $out.
run() {
  name=$1 optimizer=$2 rate=$3 seed=$4
  shift 4
  [ -e "$out/$name.result" ] && return
  "$glow" train --data "$data" --limit 5000 --out "$out/$name" --depth 4 --width 32 --batch 16 \
    --optimizer "$optimizer" --lr "$rate" --lr-schedule constant --warmup-epochs 0 --ema 0.99 --steps "$steps" --seed "$seed" \
    --eval-every 0 --sample-every 0 --checkpoint-every 0 --threads 1 --resume ${OPTIONS:-} "$@" >"$out/$name.log" 2>&1
  # Stopped by SIGHUP, SIGINT, SIGKILL, SIGUSR1 or SIGTERM, to go on another time. A crash is a result.
  case $? in 129 | 130 | 137 | 138 | 143) exit 1 ;; esac
  bits=$("$glow" evaluate "$out/$name" --data "$data" --limit 1000 --threads 1 2>>"$out/$name.log" |
    sed -n 's/^bits\/dim \([0-9.]*\) ±.*/\1/p')
  echo "${bits:-none}" >"$out/$name.result"
  rm -rf "${out:?}/$name"
}

for seed in $(seq "$seeds"); do
  for optimizer in $optimizers; do
    for rate in $rates; do
      run "$optimizer-$rate-$seed-guards" "$optimizer" "$rate" "$seed"
      run "$optimizer-$rate-$seed-none" "$optimizer" "$rate" "$seed" --no-guards
    done
  done
done

echo "optimizer  rate  guards  runs  usable  median bits/dim of the usable"
for optimizer in $optimizers; do
  for rate in $rates; do
    for guards in guards none; do
      cat "$out/$optimizer-$rate-"*"-$guards.result" 2>/dev/null | sort -g |
        awk -v name="$optimizer  $rate  $guards" '
          $1 != "none" && $1 < 8 { usable[++count] = $1 }
          END { printf "%s  %d  %d  %s\n", name, NR, count, count ? usable[int((count + 1) / 2)] : "-" }'
    done
  done
done
