"""Chooses what the site shows of the symbol graphs in a folder: symbols.py FOLDER

Users of Glow see types of the modules behind it through aliases. These join Glow's own; the rest of those modules goes.
"""
import json
import pathlib
import sys

JOINED = {
    "GlowFiles": {"FileError"},
    "GlowKernels": {"MemoryError", "LinearAlgebraError"},
    "GlowFlow": {
        "GlowConfiguration", "Choice", "ArchitectureKind", "CouplingKind", "NetworkKind", "PermutationKind",
        "Padding", "ConfigurationError", "SingularMapError",
    },
    "GlowImages": {"ByteImage", "ImageShape", "DataPart"},
    "GlowTraining": {
        "TrainingConfiguration", "TrainingProgress", "OptimizerKind", "RateSchedule", "DequantizationKind",
        "ActivationPolicy", "ErrorPolicy", "TrainingError",
    },
    "GlowLatents": {"InterpolationMethod", "AttributeError"},
}


def choose(graph, types):
    """Leaves the types and their members, as symbols of Glow."""
    graph["symbols"] = [symbol for symbol in graph["symbols"] if symbol["pathComponents"][0] in types]
    kept = {symbol["identifier"]["precise"] for symbol in graph["symbols"]}
    graph["relationships"] = [each for each in graph["relationships"] if each["source"] in kept]
    graph["module"]["name"] = "Glow"
    return {symbol["pathComponents"][0] for symbol in graph["symbols"]}


found = set()
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.symbols.json")):
    module = path.name.split(".")[0].split("@")[0]
    if module not in JOINED:
        continue
    graph = json.loads(path.read_text())
    found |= choose(graph, JOINED[module])
    # A name of its own, or it would be taken for the graph of another module.
    path.with_name(f"Glow-{path.name}").write_text(json.dumps(graph))
    path.unlink()

missing = set().union(*JOINED.values()) - found
if missing:
    sys.exit(f"{', '.join(sorted(missing))}: no such public type")

# Aliases of the same name would hide what they stand for.
own = pathlib.Path(sys.argv[1], "Glow.symbols.json")
graph = json.loads(own.read_text())
graph["symbols"] = [
    symbol for symbol in graph["symbols"]
    if not (symbol["kind"]["identifier"] == "swift.typealias" and symbol["pathComponents"][0] in found)
]
own.write_text(json.dumps(graph))
