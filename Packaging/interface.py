"""Checks what is public, and fails if something should not be so: interface.py SYMBOLS…

Each symbol has a documentation comment; none is a global function or variable, and none speaks of raw memory.
"""
import json
import sys

# What the compiler makes by itself, and members that say nothing of their own: a conformance's `description`, for instance.
CONFORMANCES = {"description", "init(from:)", "encode(to:)", "errorDescription", "hash(into:)", "==(_:_:)"}


def faults(symbol):
    if symbol["kind"]["identifier"] in ("swift.func", "swift.func.op", "swift.var") and len(symbol["pathComponents"]) == 1:
        yield "belongs to no type"
    if any("Unsafe" in fragment["spelling"] for fragment in symbol.get("declarationFragments", [])):
        yield "speaks of raw memory"
    if "docComment" not in symbol and symbol["names"]["title"].split(".")[-1] not in CONFORMANCES:
        yield "has no documentation"


found = set()
for path in sys.argv[1:]:
    for symbol in json.load(open(path))["symbols"]:
        # The rest is inherited from another module's protocol: documented there, or nowhere.
        is_own = "location" in symbol and "/Sources/" in symbol["location"]["uri"]
        if is_own and "::SYNTHESIZED::" not in symbol["identifier"]["precise"]:
            found |= {f"{'.'.join(symbol['pathComponents'])} is public and {fault}" for fault in faults(symbol)}
for line in sorted(found):
    print(line, file=sys.stderr)
sys.exit(1 if found else 0)
