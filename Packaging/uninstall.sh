#!/bin/sh
# Removes what install.sh has put under a prefix, and folders of its own that are empty then: uninstall.sh PREFIX [DESTDIR]
set -eu
root=${2:-}$1
files=$root/share/glow/files
[ -e "$files" ] || { echo "$root: glow is not installed here (there is no $files)" >&2; exit 1; }
while read -r file; do rm -f "$root/$file"; done < "$files"
rm -f "$files"
rmdir "$root/share/glow" 2>/dev/null || true
[ ! -d "$root/share/doc/glow" ] || find "$root/share/doc/glow" -depth -type d -empty -delete
