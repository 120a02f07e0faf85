"""Makes one library of the symbol graphs in a folder: symbols.py FOLDER

What the modules behind Glow have public are the types that its users see, some of them through aliases. They join Glow's
own symbols; GlowPlots stays a library of its own.
"""
import json
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
joined = set()
for path in sorted(folder.glob("*.symbols.json")):
    module = path.name.split(".")[0].split("@")[0]
    if module in ("Glow", "GlowPlots"):
        continue
    graph = json.loads(path.read_text())
    joined |= {symbol["pathComponents"][0] for symbol in graph["symbols"]}
    graph["module"]["name"] = "Glow"
    # A name of its own, or it would be taken for the graph of another module.
    path.with_name(f"Glow-{path.name}").write_text(json.dumps(graph))
    path.unlink()

# Aliases of the same name would hide what they stand for.
own = folder / "Glow.symbols.json"
graph = json.loads(own.read_text())
graph["symbols"] = [
    symbol for symbol in graph["symbols"]
    if not (symbol["kind"]["identifier"] == "swift.typealias" and symbol["pathComponents"][0] in joined)
]
own.write_text(json.dumps(graph))
