"""Makes a table of the lines that pytorch/compare.py has written, and with --picture a picture.

A figure is the median over the rounds, with the smallest and the largest; a ratio is the median of the rounds' ratios of
this package to the fastest PyTorch variant of the same round, so that both have had the same minutes. On a machine whose
speed changes within minutes the ratio by shares is the fairer one: each program measures the speed of a plain product
beside its job, and the shares of it are compared.
"""

import argparse
import json
import statistics
from collections import defaultdict


def read(path: str) -> tuple[dict, dict]:
    """The machine, and by (model, job) the rounds in order, each with the lines of the programs that it had."""
    with open(path) as file:
        machine, *lines = (json.loads(line) for line in file)
    results = defaultdict(lambda: [{}])
    for line in lines:
        turns, program = results[title(line["model"]), line["job"]], line.get("variant", "glow")
        if program in turns[-1]:
            turns.append({})
        turns[-1][program] = line
    return machine, results


def title(model: str) -> str:
    architecture, _, sizes = model.rpartition(":")
    names = ("scales", "blocks", "width", "batch") if architecture else ("depth", "width", "batch")
    text = ", ".join(f"{name} {size}" for name, size in zip(names, sizes.split("x")))
    return f"RealNVP, {text}" if architecture else text


def compare(turn: dict) -> dict:
    """The fastest variant of a round, and the ratio to it: of speeds, and of shares of the peak."""

    def ratio(figure: str) -> tuple[str, float]:
        values = {name: line[figure] for name, line in turn.items() if figure in line}
        fastest = max((name for name in values if name != "glow"), key=values.get)
        return fastest, values["glow"] / values[fastest]

    fastest, of_speeds = ratio("images_per_second")
    _, of_shares = ratio("fraction_of_peak")
    return {"fastest": fastest, "ratio": of_speeds, "ratio of shares": of_shares}


def comparable(turns: list[dict]) -> list[dict]:
    """The rounds in which some variant of PyTorch has finished."""
    return [turn for turn in turns if any(name != "glow" and "images_per_second" in line for name, line in turn.items())]


def figures(turns: list[dict], program: str, figure: str) -> list[float]:
    return [turn[program][figure] for turn in turns if figure in turn.get(program, ())]


def spread(values: list[float], form: str) -> str:
    if not values:
        return ""
    return f"{statistics.median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def table(results: dict) -> str:
    variants = [name for name in next(iter(results.values()))[0] if name != "glow"]
    header = ["model", "job", "glow, images/s", *(f"PyTorch {name}" for name in variants), "glow / fastest",
              "the same by shares", "glow, of the sgemm peak", "of the limit", "PyTorch's fastest, of its own sgemm peak"]
    rows = [header, ["---"] * len(header)]
    for (model, job), turns in results.items():
        finished = comparable(turns)
        compared = [compare(turn) for turn in finished]
        row = [model, job]
        for name in ["glow", *variants]:
            found = figures(turns, name, "images_per_second")
            row.append(f"{statistics.median(found):.1f}" if found else "not finished" if name in turns[0] else "")
        for figure in ["ratio", "ratio of shares"]:
            row.append(spread([turn[figure] for turn in compared], ".2f"))
        row.append(spread(figures(turns, "glow", "fraction_of_peak"), ".0%"))
        row.append(spread(figures(turns, "glow", "fraction_of_limit"), ".0%"))
        row.append(spread([turn[each["fastest"]]["fraction_of_peak"] for turn, each in zip(finished, compared)], ".0%"))
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def draw(machine: dict, results: dict, path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    places = [place for place in results if comparable(results[place])]
    ratios = [[compare(turn)["ratio"] for turn in comparable(results[place])] for place in places]
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(places) + 1.6), layout="constrained")
    axes.barh(range(len(places)), [statistics.median(values) for values in ratios], color="#4477aa")
    for row, values in enumerate(ratios):
        axes.plot(values, [row] * len(values), "o", color="black", markersize=3)
    axes.axvline(1, color="gray", linewidth=1)
    axes.set_yticks(range(len(places)), [f"{model}: {job}" for model, job in places])
    axes.invert_yaxis()
    axes.set_xlabel("speed over that of the fastest PyTorch variant; points: rounds")
    axes.set_title(f"{machine['processor']}, {machine['cores']} cores", fontsize=9)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", help="what compare.py has written")
    parser.add_argument("--picture", metavar="PNG")
    options = parser.parse_args()
    machine, results = read(options.lines)
    print(json.dumps(machine))
    print(table(results))
    if options.picture:
        draw(machine, results, options.picture)


if __name__ == "__main__":
    main()
