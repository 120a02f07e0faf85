#!/bin/sh
# Weak scaling of training over links of a known speed: one process with one thread and a batch, and two such processes with twice the
# batch, through shared memory and between two network namespaces that a pair of virtual cards joins, whose rate `tc` holds. Process i
# keeps to processor i. Two processes that know nothing of each other come too: what they lose, the machine takes and not the exchange;
# and one process that sends its batch through the model in four parts, as it would by itself under mpirun. Rounds go through all in
# turns. Lines of JSON go to FOLDER/links.jsonl, of which a second call makes no line again; then comes a table of medians over the
# rounds, each of which counts the median of its steps but the first.
#
# usage: Studies/links.sh GLOW FOLDER      (as root; WAYS="one parts apart memory 1 10", the numbers in Gbit/s, MODELS, ROUNDS and STEPS may be set
#                                           in the environment)
set -eu
glow=$(realpath "$1") folder=$2 rounds=${ROUNDS:-3} steps=${STEPS:-6} ways=${WAYS:-one parts apart memory 1 10}
models=${MODELS:-"8x128x64 8x512x64 32x512x16"}
[ "$(id -u)" = 0 ] || { echo "network namespaces need root" >&2; exit 77; }
for tool in ip tc mpirun taskset; do
  command -v $tool > /dev/null || { echo "$tool is missing (Debian: iproute2, openmpi-bin, util-linux)" >&2; exit 77; }
done
[ "$(nproc)" -ge 2 ] || { echo "two processes need two processors" >&2; exit 77; }
mkdir -p "$folder"
lines=$(realpath "$folder")/links.jsonl
touch "$lines"
runs=$(mktemp -d)
near=glow-links-$$-a far=glow-links-$$-b
end() {
  ip netns del $near 2> /dev/null || true
  ip netns del $far 2> /dev/null || true
  rm -rf "$runs"
}
trap end EXIT
trap 'exit 130' INT TERM

ip netns add $near
ip netns add $far
ip -n $near link add link0 type veth peer name link0 netns $far
ip -n $near addr add 10.251.0.1/24 dev link0
ip -n $far addr add 10.251.0.2/24 dev link0
for space in $near $far; do
  ip -n $space link set lo up
  ip -n $space link set link0 up
done
# A bucket of a tenth of a millisecond, but no smaller than the packets that the kernel hands over at once; a queue of 5 ms.
shape() {
  for space in $near $far; do
    tc -n $space qdisc replace dev link0 root tbf rate "$1gbit" burst $((12500 * $1 + 65536)) latency 5ms
  done
}

# What mpirun starts the far process's daemon with, in place of ssh: in the other namespace, on a machine of another name.
cat > "$runs/agent" <<END
#!/bin/sh
shift
exec ip netns exec $far unshare --uts sh -c "hostname glow-links-far; \$*"
END
# A process on the processor of its number.
cat > "$runs/pinned" <<'END'
#!/bin/sh
exec taskset -c "${OMPI_COMM_WORLD_RANK:-$PLACE}" "$@"
END
chmod +x "$runs/agent" "$runs/pinned"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpi="mpirun --quiet --bind-to none"

# Trains, in a run folder with a name.
train() {
  name=$1 batch=$2
  shift 2
  "$@" "$runs/pinned" "$glow" train --data faces --limit $((2 * part)) --depth "$depth" --width "$width" --batch "$batch" --micro-batch "$micro" \
    --steps $((steps + 1)) --init-images 16 --log-every 1 --sample-every 0 --eval-every 0 --checkpoint-every 0 --no-guards \
    --optimizer adamax --threads 1 --out "$runs/$name" --overwrite > /dev/null 2> "$runs/$name.notes"
}
# Images/s, from the time between two lines of the log, and the share of the time that processes wait for each other.
measured() {
  seconds=$(sed 's/.*"seconds":\([0-9.e-]*\).*/\1/' "$runs/$1/metrics.jsonl" |
    awk 'NR > 2 { print $1 - last } { last = $1 }' | sort -g | awk '{ s[NR] = $1 } END { print (s[int((NR + 1) / 2)] + s[int(NR / 2) + 1]) / 2 }')
  waiting=$(sed -n 's/.* \([0-9.]*\) % into waiting.*/\1/p' "$runs/$1.notes")
  awk -v batch="$2" -v seconds="$seconds" -v waiting="${waiting:-0}" \
    'BEGIN { printf "\"images_per_second\":%.2f,\"step_seconds\":%.4f,\"waiting_percent\":%s}\n", batch / seconds, seconds, waiting }'
}

for round in $(seq "$rounds"); do
  for model in $models; do
    depth=${model%%x*} rest=${model#*x}
    width=${rest%x*} part=${rest#*x}
    for way in $ways; do
      key="\"model\":\"$model\",\"way\":\"$way\",\"round\":$round"
      ! grep -qF "$key" "$lines" || continue
      batch=$((2 * part)) micro=$part
      case $way in
        one) batch=$part; PLACE=0 train 0 $batch env ;;
        parts) batch=$part micro=$(((part + 3) / 4)); PLACE=0 train 0 $batch env ;;
        apart)
          batch=$part
          PLACE=1 train 1 $batch env & other=$!
          PLACE=0 train 0 $batch env
          wait $other ;;
        memory) train 0 $batch $mpi -n 2 --mca btl self,vader ;;
        *)
          shape "$way"
          train 0 $batch ip netns exec $near $mpi --mca plm_rsh_agent "$runs/agent" --host 10.251.0.1,10.251.0.2 \
            --mca btl self,tcp --mca btl_tcp_if_include 10.251.0.0/24 --mca oob_tcp_if_include 10.251.0.0/24 ;;
      esac
      line=$(measured 0 $batch)
      echo "{$key,$line" >> "$lines"
      echo "round $round, $model, $way: $line" >&2
    done
  done
done

echo "| depth x width x batch | processes | images/s | efficiency | waiting |"
echo "|---|---|---|---|---|"
sed 's/[{}"]//g; s/[a-z_]*://g' "$lines" | sort -t, -k1,1 -k2,2 -k4,4g | awk -F, '
  function middle(list, count) { return (list[int((count + 1) / 2)] + list[int(count / 2) + 1]) / 2 }
  { key = $1 "," $2; count[key]++; speed[key, count[key]] = $4; waits[key, count[key]] = $6
    if (!($1 in seen)) { seen[$1] = 1; models[++modelCount] = $1 }
    if (!($2 in met)) { met[$2] = 1; ways[++wayCount] = $2 } }
  END {
    kinds = split("one parts apart memory", order, " ")
    name["one"] = "1"; name["parts"] = "1, in four parts"; name["apart"] = "1, and another one beside it"
    name["memory"] = "2, shared memory"
    for (w = 1; w <= wayCount; w++) if (ways[w] + 0 > 0) { order[++kinds] = ways[w]; name[ways[w]] = "2, " ways[w] " Gbit/s" }
    for (m = 1; m <= modelCount; m++) for (w = 1; w <= kinds; w++) {
      key = models[m] "," order[w]
      if (!count[key]) continue
      for (i = 1; i <= count[key]; i++) { s[i] = speed[key, i]; t[i] = waits[key, i] }
      v = middle(s, count[key])
      if (order[w] == "one") one = v
      pair = name[order[w]] ~ /^2/
      printf "| %s | %s | %.1f | %s | %s |\n", models[m], name[order[w]], v,
        (one ? sprintf("%.1f %%", 100 * v / one / (1 + pair)) : ""), (pair ? sprintf("%.1f %%", middle(t, count[key])) : "")
    }
  }'
