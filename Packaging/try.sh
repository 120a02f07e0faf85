#!/bin/sh
# Tries the packages in FOLDER in a minimal Debian, and the archive in a minimal Ubuntu, both without compiler, Swift or
# libraries of images. debootstrap makes them in FOLDER, where they are kept for the next time: try.sh VERSION FOLDER. For root.
set -eu
version=$1 folder=$2
debian=$folder/bookworm ubuntu=$folder/jammy
for root in "$debian" "$ubuntu"; do
  [ -e "$root/etc/debian_version" ] ||
    debootstrap --variant=minbase "$(basename "$root")" "$root" > "$folder/debootstrap.log"
done
trap 'umount "$debian/proc" "$ubuntu/proc"' EXIT
for root in "$debian" "$ubuntu"; do
  mount --bind /proc "$root/proc"
  rm -rf "$root/try"
  mkdir "$root/try"
  cp "$folder/glow-$version-linux-x86_64.tar.gz" "$folder/glow_${version}_amd64.deb" "$root/try"
  cat > "$root/try/use.sh" <<'END'
# What a user does first: use.sh GLOW NAME
set -eu
glow=$1
$glow --version
$glow train --data faces --out "$2" --levels 2 --depth 2 --width 16 --batch 16 --steps 20 --eval-every 10 2> "$2.log" ||
  { cat "$2.log"; exit 1; }
$glow evaluate "$2" --data faces --limit 64 --scores "$2.jsonl"
$glow sample "$2" --out "$2.png" --count 4
$glow sheet "$2" --data faces --limit 64 --out "$2-sheet.png"
$glow plot "$2" --out "$2-curves.png"
END
done

run_in() { # ROOT COMMANDS
  chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -euc "cd /try; $2"
}
for root in "$debian" "$ubuntu"; do
  run_in "$root" '! command -v cc && ! command -v swift' || { echo "$root is not minimal" >&2; exit 1; }
  run_in "$root" "dpkg -P glow 2>/dev/null || true; tar xf glow-$version-linux-x86_64.tar.gz
    sh use.sh ./glow-$version-linux-x86_64/bin/glow unpacked"
done
run_in "$debian" "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ./glow_${version}_amd64.deb > apt.log 2>&1 ||
  { cat apt.log; exit 1; }; sh use.sh glow installed"
for file in .jsonl .png -sheet.png; do
  cmp "$debian/try/unpacked$file" "$debian/try/installed$file"
  cmp "$debian/try/unpacked$file" "$ubuntu/try/unpacked$file"
done
echo "both packages work, and alike"
