#!/bin/sh
# Makes a tree that runs wherever it is unpacked, and a .tar.gz of it: dist.sh GLOW VERSION FOLDER
# With the command come all libraries that it needs, except the C library's own, their licences, and the font of charts.
# SOURCE_DATE_EPOCH says of when it is.
set -eu
umask 022
glow=$1
name=glow-$2-linux-x86_64
folder=$3
tree=$folder/$name
toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
rm -rf "$tree"
sh Packaging/install.sh "$glow" "$tree"
rm -r "$tree/share/glow"
mkdir -p "$tree/lib" "$tree/share/glow/fonts" "$tree/share/doc/glow/licenses"

note_licence() { # of the Debian package that a file comes from
  # Older packages know their files by the names from before /lib was a link.
  package=$({ dpkg -S "$1" || dpkg -S "${1#/usr}"; } 2> /dev/null | sed -n '1s/[:,].*//p')
  install -m 644 "/usr/share/doc/$package/copyright" "$tree/share/doc/glow/licenses/$package"
}

add_named_licences() { # the texts that those files name and only Debian has
  cd "$tree/share/doc/glow/licenses"
  grep -rhoE '/usr/share/common-licenses/[A-Za-z]+[-A-Za-z0-9.]*[A-Za-z0-9]' . | sort -u | while read -r text; do
    [ ! -e "$text" ] || install -D -m 644 "$text" "common/$(basename "$text")"
  done
}

# The loader's list has what the libraries themselves need, too.
ldd "$glow" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | while read -r soname path; do
  case $soname in libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.*) continue ;; esac
  note_licence "$(readlink -f "$path")"
  if [ "$soname" = libexpat.so.1 ] && objdump -T "$path" | grep -q 'GLIBC_2.36.*arc4random_buf'; then
    "$toolchain/clang" -O2 -fPIC -shared -Wl,-soname,libexpat.so.1 -o "$tree/lib/$soname" Packaging/arc4random.c \
      -Wl,--whole-archive "$(dirname "$path")/libexpat.a" -Wl,--no-whole-archive
  else
    install -m 644 "$path" "$tree/lib/$soname"
  fi
done
for font in DejaVuSans.ttf DejaVuSans-Bold.ttf; do
  install -m 644 "/usr/share/fonts/truetype/dejavu/$font" "$tree/share/glow/fonts"
done
note_licence /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf
install -m 644 Packaging/fonts.conf "$tree/share/glow"
# Linked into the command: the C++ library, Swift's, and what it uses.
install -m 644 /usr/share/doc/libstdc++6/copyright "$tree/share/doc/glow/licenses/libstdc++6"
sh Packaging/licenses.sh "$tree/share/doc/glow/licenses"
(add_named_licences)

strip --strip-unneeded "$tree"/lib/*
# Not the newer form of the entry, which would hold for the command alone and not for its libraries' libraries.
patchelf --force-rpath --set-rpath '$ORIGIN/../lib' "$tree/bin/glow"
# It must run with nothing of this machine's.
env -i "$tree/bin/glow" --version > /dev/null
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$folder" -c "$name" \
  | gzip -9n > "$folder/$name.tar.gz"
needed=$(objdump -T "$tree/bin/glow" "$tree"/lib/* | grep -o 'GLIBC_2[.0-9]*' | sort -uV | tail -1)
echo "$folder/$name.tar.gz: $(du -h "$folder/$name.tar.gz" | cut -f1), for x86-64 with a C library from ${needed#GLIBC_} on"
