#!/bin/sh
# Lays out the command GLOW under PREFIX, in the folder DESTDIR if packages are made: install.sh GLOW PREFIX [DESTDIR]
# What was put where is listed in PREFIX/share/glow/files, from which `make uninstall` knows it.
set -eu
umask 022
glow=$1
root=${3:-}$2
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

share=$stage/share
mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" "$share/fish/vendor_completions.d" "$share/glow"
install -D -m 755 "$glow" "$stage/bin/glow"
! command -v strip > /dev/null || strip --strip-unneeded "$stage/bin/glow"
"$glow" manual "$share/man/man1"
# It is read by a shell, and no program.
"$glow" --generate-completion-script bash | sed '1{/^#!/d}' > "$share/bash-completion/completions/glow"
"$glow" --generate-completion-script zsh > "$share/zsh/site-functions/_glow"
"$glow" --generate-completion-script fish > "$share/fish/vendor_completions.d/glow.fish"
# With all that README speaks of.
for file in LICENSE README.md CHANGELOG.md CITATION.cff CONTRIBUTING.md docs/*.md docs/*.png docs/gallery/* \
  Examples/*.* Examples/Sources/*/*; do
  install -D -m 644 "$file" "$share/doc/glow/$file"
done
(cd "$stage" && find . -type f | sed 's|^\./||' | LC_ALL=C sort) > "$stage.files"
mv "$stage.files" "$share/glow/files"
chmod -R u=rwX,go=rX "$stage"

mkdir -p "$root"
# What an earlier version has put there and this one does not.
former=$root/share/glow/files
if [ -e "$former" ]; then
  LC_ALL=C comm -23 "$former" "$share/glow/files" | while read -r file; do rm -f "$root/$file"; done
fi
# Removed first: a command that runs cannot be written to.
cp -R --no-preserve=ownership --remove-destination "$stage/." "$root"
