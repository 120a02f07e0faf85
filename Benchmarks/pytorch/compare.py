"""Runs `glow bench` and bench.py in turn on the same models and jobs, and prints a table with the ratios.

Each figure is the median over the rounds; in each round every program measures its own median of several runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from bench import JOBS, VARIANTS

MODELS = ("8x512x64", "8x128x64", "32x512x16")
BENCH = str(Path(__file__).with_name("bench.py"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--glow", required=True, help="the glow command")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="DEPTHxWIDTHxBATCH")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5, help="timed repetitions in each round")
    return parser.parse_args()


def measure(command: list[str], options: argparse.Namespace, model: str, job: str) -> dict:
    depth, width, batch = model.split("x")
    command = command + [
        job, "--depth", depth, "--width", width, "--batch", batch, "--image-size", str(options.image_size),
        "--threads", str(options.threads), "--runs", str(options.runs)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"compare.py: failed with status {result.returncode}: {' '.join(command)}")
    line = json.loads(result.stdout)
    name = line.get("variant", "glow")
    print(
        f"{model} {job} {name}: {line['images_per_second']:.1f} images/s, {line['fraction_of_peak']:.0%} of "
        f"{line['peak_gflops']:.0f} GFLOP/s, {line['peak_memory_mb']} MB", file=sys.stderr, flush=True)
    return line


def medians(lines: list[dict]) -> dict:
    """Of every number in lines about the same thing."""
    return {
        key: statistics.median(line[key] for line in lines)
        for key, value in lines[0].items() if isinstance(value, (int, float))}


def table(results: dict, options: argparse.Namespace) -> str:
    variants = list(options.variants)
    header = [
        "depth x width x batch", "job", "glow, images/s", *(f"PyTorch {variant}" for variant in variants),
        "glow / fastest PyTorch", "glow, of its sgemm peak", "MB glow", "MB fastest PyTorch"]
    rows = [header, ["---"] * len(header)]
    for (model, job), programs in results.items():
        found = {name: medians(lines) for name, lines in programs.items()}
        glow = found["glow"]
        speeds = {variant: found[variant]["images_per_second"] for variant in variants}
        fastest = max(variants, key=speeds.get)
        rows.append([
            model, job, f"{glow['images_per_second']:.1f}", *(f"{speeds[variant]:.1f}" for variant in variants),
            f"{glow['images_per_second'] / speeds[fastest]:.2f}", f"{glow['fraction_of_peak']:.1%}",
            f"{glow['peak_memory_mb']:.0f}", f"{found[fastest]['peak_memory_mb']:.0f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    options = arguments()
    results = defaultdict(lambda: defaultdict(list))
    for _ in range(options.rounds):
        for model in options.models:
            for job in options.jobs:
                programs = results[model, job]
                glow = [options.glow, "bench", "--json"]
                programs["glow"].append(measure(glow, options, model, job))
                for variant in options.variants:
                    pytorch = [sys.executable, BENCH, "--variants", variant]
                    programs[variant].append(measure(pytorch, options, model, job))
    print(table(results, options))


if __name__ == "__main__":
    main()
