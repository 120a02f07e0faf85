#!/bin/sh
# Tries the packages in FOLDER in a minimal Debian, and the archive in a minimal Ubuntu, both without compiler, Swift or
# libraries of images: try.sh VERSION FOLDER. For root. debootstrap makes both in FOLDER, where they are kept for the next
# time. Where Ubuntu's archive cannot be reached the rest is tried, and the last line says what was not.
set -eu
version=$1 folder=$2
debian=$folder/bookworm ubuntu=$folder/jammy
log=$folder/debootstrap.log

make_root() { # ROOT, and what debootstrap makes ROOT.new of: all of it, or nothing
  root=$1
  shift
  [ ! -e "$root" ] || return 0
  rm -rf "$root.new"
  debootstrap --variant=minbase "$@" > "$log" 2>&1 || return 1
  mv "$root.new" "$root"
}
echo "making a minimal Debian and a minimal Ubuntu, unless they are in $folder already"
make_root "$debian" bookworm "$debian.new" || { cat "$log"; exit 1; }
roots="$debian $ubuntu" left_out=
# Debian has no keys of Ubuntu's, so that it is https that says whose archive this is.
make_root "$ubuntu" --no-check-gpg jammy "$ubuntu.new" https://archive.ubuntu.com/ubuntu || {
  grep -q 'Failed getting release file' "$log" || { cat "$log"; exit 1; }
  roots=$debian left_out="; SKIPPED: Ubuntu, whose archive cannot be reached"
}

trap 'for root in $roots; do ! mountpoint -q "$root/proc" || umount "$root/proc"; done' EXIT
for root in $roots; do
  mountpoint -q "$root/proc" || mount --bind /proc "$root/proc"
  rm -rf "$root/try"
  mkdir "$root/try"
  cp "$folder/glow-$version-linux-x86_64.tar.gz" "$folder/glow_${version}_amd64.deb" "$root/try"
  cat > "$root/try/use.sh" <<'END_OF_USE'
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
END_OF_USE
done

run_in() { # ROOT COMMANDS
  chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -euc "cd /try; $2"
}
for root in $roots; do
  run_in "$root" '! command -v cc && ! command -v swift' || { echo "$root is not minimal" >&2; exit 1; }
  echo "== the archive in $root"
  # What an earlier try has installed, libraries too, would hide what the archive lacks.
  run_in "$root" "! dpkg -s glow > /dev/null 2>&1 || apt-get purge -y -qq --auto-remove glow > purge.log 2>&1 ||
    { cat purge.log; exit 1; }
    tar xf glow-$version-linux-x86_64.tar.gz
    sh use.sh ./glow-$version-linux-x86_64/bin/glow unpacked"
done
echo "== the Debian package in $debian"
run_in "$debian" "{ apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq ./glow_${version}_amd64.deb; } > apt.log 2>&1 ||
  { cat apt.log; exit 1; }; sh use.sh glow installed"

# Numbers and pictures of numbers are the same everywhere; what cairo draws depends on the libraries, which are the same on
# Debian and in the archive.
for root in $roots; do
  for file in unpacked.jsonl unpacked.png unpacked-sheet.png; do cmp "$debian/try/$file" "$root/try/$file"; done
done
for file in .jsonl .png -sheet.png; do cmp "$debian/try/unpacked$file" "$debian/try/installed$file"; done
echo "the packages work, and alike$left_out"
