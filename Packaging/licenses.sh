#!/bin/sh
# Puts the licences of what is linked into the command, and is no package of the system, into a folder: licenses.sh FOLDER
set -eu
umask 022
toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
mkdir -p "$1"
install -m 644 Packaging/licenses/* "$1"
install -m 644 "$toolchain/../share/swift/LICENSE.txt" "$1/swift"
