#!/bin/sh
# Makes the static site of the library and of docs/*.md: docs.sh BUILD SITE
set -eu
build=$1 site=$2
toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
catalog=$build/Glow.docc
rm -rf "$build/symbols" "$catalog" "$site"
mkdir -p "$build/symbols"
swift build --target Glow --scratch-path "$build" > "$build/log" 2>&1 || { cat "$build/log"; exit 1; }
"$toolchain/swift-symbolgraph-extract" -module-name Glow -minimum-access-level public -output-dir "$build/symbols" \
  -target "$(swift -print-target-info | sed -n 's/.*"triple": "\(.*\)".*/\1/p' | head -1)" \
  -I "$build/debug/Modules" -I Sources/CGlowKernels/include -I Sources/CPNGCodec/include -I Sources/CJPEGCodec/include \
  $(for module in Modules/*; do echo "-I $module"; done)
python3 Packaging/undocumented.py "$build"/symbols/Glow*.symbols.json

# The articles: the documents, whose links to each other DocC spells differently, and their pictures.
cp -r Sources/Glow/Glow.docc "$catalog"
for file in docs/*.md; do
  sed -E 's/\]\(([a-z]+)\.md(#[^)]*)?\)/](<doc:\1>)/g; s/\]\((gallery\/)?([A-Za-z0-9-]+\.png)\)/](\2)/g' "$file" \
    > "$catalog/$(basename "$file")"
done
cp docs/*.png docs/gallery/*.png "$catalog"
{
  printf '\n### Documents\n\n'
  for file in docs/*.md; do echo "- <doc:$(basename "$file" .md)>"; done
} >> "$catalog/Glow.md"
"$toolchain/docc" convert "$catalog" --additional-symbol-graph-dir "$build/symbols" --output-path "$site" \
  --fallback-display-name Glow --fallback-bundle-identifier glow --transform-for-static-hosting
echo "$site: serve it, for instance with python3 -m http.server -d $site, and open /documentation/glow"
