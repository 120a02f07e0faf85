#!/bin/sh
# Compiles the Swift that stands in the documents, against the library as BUILD has it: snippets.sh BUILD FOLDER
set -eu
build=$1 folder=$2
rm -rf "$folder"
mkdir -p "$folder"

snippet() { # of DOCUMENT: what stands between the fences of its first Swift
  awk '/^```swift$/ { inside = 1; next } /^```$/ { if (inside) exit } inside' "$1"
}

for document in README.md Sources/Glow/Glow.docc/Glow.md; do
  name=$(basename "$document" .md)
  mkdir "$folder/$name"
  snippet "$document" > "$folder/$name/main.swift"
  [ -s "$folder/$name/main.swift" ] || { echo "$document: has no Swift" >&2; exit 1; }
  swiftc -typecheck -swift-version 6 -I "$build/Modules" $(for module in Modules/*; do echo "-I $module"; done) \
    $(for map in "$build"/*.build/module.modulemap Sources/*/include/module.modulemap; do echo "-Xcc -fmodule-map-file=$map"; done) \
    "$folder/$name/main.swift"
done

# Two arguments of a package's description.
mkdir "$folder/install"
{
  printf '// swift-tools-version: 6.0\nimport PackageDescription\n\nlet package = Package(\n  name: "mine",\n'
  snippet docs/install.md
  echo ')'
} > "$folder/install/Package.swift"
swift package --package-path "$folder/install" dump-package > "$folder/install.json"
echo "the Swift of the documents compiles"
