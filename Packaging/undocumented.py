"""Names the public symbols of a module without a documentation comment, and fails if there are any: undocumented.py SYMBOLS…"""
import json
import sys

# What the compiler makes by itself, and members that say nothing of their own: a conformance's `description`, for instance.
CONFORMANCES = {"description", "init(from:)", "encode(to:)", "hash(into:)", "==(_:_:)"}

missing = []
for path in sys.argv[1:]:
    for symbol in json.load(open(path))["symbols"]:
        precise = symbol["identifier"]["precise"]
        if "::SYNTHESIZED::" in precise or symbol["names"]["title"].split(".")[-1] in CONFORMANCES:
            continue
        # Inherited from another module's protocol: documented there, or nowhere.
        if "docComment" not in symbol and "location" in symbol and "/Sources/" in symbol["location"]["uri"]:
            missing.append(".".join(symbol["pathComponents"]))
for name in sorted(set(missing)):
    print(f"{name} is public and has no documentation", file=sys.stderr)
sys.exit(1 if missing else 0)
