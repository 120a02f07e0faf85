#!/bin/sh
# Makes a Debian package for the release of Debian that it is made on: deb.sh GLOW VERSION FOLDER
# SOURCE_DATE_EPOCH says of when it is; MAINTAINER='NAME <ADDRESS>', or Debian's DEBFULLNAME and DEBEMAIL, who answers for it.
set -eu
umask 022
glow=$1 version=$2 folder=$3
# Without them nobody does: the authors that CITATION.cff names, at an address that is seen to be none (RFC 2606).
maintainer=${MAINTAINER:-${DEBFULLNAME:-The contributors to Glow in Swift} <${DEBEMAIL:-nobody@glow.invalid}>}
date=$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
tree=$folder/deb
rm -rf "$tree"
sh Packaging/install.sh "$glow" /usr "$tree"
doc=$tree/usr/share/doc/glow
# Where Debian has things.
rm -r "$tree/usr/share/glow" "$doc/LICENSE"
mv "$tree/usr/share/zsh/site-functions" "$tree/usr/share/zsh/vendor-completions"
gzip -9n "$tree"/usr/share/man/man1/*.1
patchelf --remove-rpath "$tree/usr/bin/glow"
sh Packaging/licenses.sh "$doc/licenses"
cat > "$doc/copyright" <<END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Glow in Swift

Files: *
Copyright: 2025-2026 the contributors to Glow in Swift
License: Apache-2.0
 On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.
Comment: The command is linked with the libraries of Swift and with swift-argument-parser, Copyright Apple Inc. and the
 Swift project authors, under Apache-2.0 with the Runtime Library Exception; with Unicode's ICU, under the Unicode
 License; and with GCC's libstdc++, Copyright Free Software Foundation, Inc., under GPL-3
 (/usr/share/common-licenses/GPL-3) with the GCC Runtime Library Exception. The texts are in
 /usr/share/doc/glow/licenses.
END
printf 'glow (%s) unstable; urgency=medium\n\n  * What is new stands in CHANGELOG.md.\n\n -- %s  %s\n' \
  "$version" "$maintainer" "$date" | gzip -9n > "$doc/changelog.gz"

# dpkg-shlibdeps wants a source package around it.
mkdir -p "$folder/shlibdeps/debian" "$tree/DEBIAN"
printf 'Source: glow\n\nPackage: glow\nArchitecture: amd64\n' > "$folder/shlibdeps/debian/control"
libraries=$(cd "$folder/shlibdeps" && dpkg-shlibdeps -O "../deb/usr/bin/glow" | sed 's/shlibs:Depends=//')
cat > "$tree/DEBIAN/control" <<END
Package: glow
Version: $version
Architecture: amd64
Maintainer: $maintainer
Installed-Size: $(du -sk "$tree/usr" | cut -f1)
Depends: $libraries, fonts-dejavu-core
Suggests: openmpi-bin
Section: science
Priority: optional
Description: train and use a normalizing flow on images
 Glow (Kingma and Dhariwal 2018) and RealNVP (Dinh et al. 2017) for CPUs: exact
 log-likelihoods of images in bits per dimension, samples, detection of images
 that do not belong, and walks through the latent space.
END
(cd "$tree" && find usr -type f | LC_ALL=C sort | xargs md5sum) > "$tree/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zxz --build "$tree" "$folder/glow_${version}_amd64.deb"
