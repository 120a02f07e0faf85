#!/bin/sh
# Makes the static site of the libraries, as BUILD has them, and of docs/*.md: docs.sh BUILD SITE
set -eu
build=$1 site=$2
work=.build-docs
toolchain=$(dirname "$(readlink -f "$(command -v swift)")")
catalog=$work/Glow.docc
rm -rf $work "$site"
mkdir -p $work/symbols
target=$(swift -print-target-info | sed -n 's/.*"triple": "\(.*\)".*/\1/p' | head -1)
# The two products, and the modules behind them, of which only the types that users see are public.
for path in "$build"/Modules/Glow*.swiftmodule; do
  module=$(basename "$path" .swiftmodule)
  "$toolchain/swift-symbolgraph-extract" -module-name $module -minimum-access-level public -target "$target" \
    -output-dir $work/symbols -I "$build/Modules" $(for module in Modules/*; do echo "-I $module"; done) \
    $(pkg-config --cflags-only-I cairo) \
    $(for map in "$build"/*.build/module.modulemap Sources/*/include/module.modulemap; do echo "-Xcc -fmodule-map-file=$map"; done)
done
python3 Packaging/symbols.py $work/symbols
python3 Packaging/interface.py $work/symbols/*.symbols.json

# The articles: the documents, whose links to each other DocC spells differently (it knows none to a section of another
# article), and their pictures. A link to the sources becomes the path there.
cp -r Sources/Glow/Glow.docc $catalog
for file in docs/*.md; do
  sed -E 's/\]\(([a-z]+)\.md(#[^)]*)?\)/](<doc:\1>)/g; s/\[[^]]*\]\(\.\.\/([^)]*)\)/`\1`/g; s/\]\((gallery\/)?([A-Za-z0-9-]+\.png)\)/](\2)/g' "$file" \
    > "$catalog/$(basename "$file")"
done
cp docs/*.png docs/gallery/*.png $catalog
{
  printf '\n### Documents\n\n'
  for file in docs/*.md; do echo "- <doc:$(basename "$file" .md)>"; done
} >> $catalog/Glow.md
# Parameters that say what they are by their names alone are no fault.
"$toolchain/docc" convert $catalog --additional-symbol-graph-dir $work/symbols --output-path "$site" \
  --fallback-display-name Glow --fallback-bundle-identifier glow --transform-for-static-hosting \
  > $work/log 2>&1 || { cat $work/log; exit 1; }
if grep -E '^(warning|error):' $work/log | grep -v 'is missing documentation'; then exit 1; fi
echo "$site: serve it, for instance with python3 -m http.server -d $site, and open /documentation/glow"
