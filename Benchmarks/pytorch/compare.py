"""Runs `glow bench` and bench.py in turn on the same models and jobs, and writes what they say: a line about the machine,
then their JSON lines. Benchmarks/report.py makes a table and a picture of them.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

from bench import JOBS, VARIANTS

MODELS = ("8x512x64", "8x128x64", "32x512x16", "realnvp:2x8x64x16")
BENCH = str(Path(__file__).with_name("bench.py"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--glow", required=True, help="the glow command")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="DEPTHxWIDTHxBATCH|realnvp:SCALESxBLOCKSxWIDTHxBATCH")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--optimizer", choices=("adamax", "muon"), default="adamax", help="of training")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7, help="timed repetitions in each round")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that a measurement of PyTorch may take")
    parser.add_argument("--out", metavar="FILE", help="where the lines go")
    options = parser.parse_args()
    if options.optimizer == "muon":
        # A RealNVP has no filters that Muon could take: theirs are normalized.
        options.models = [model for model in options.models if not model.startswith("realnvp:")]
    return options


def model_options(model: str) -> list[str]:
    """Of both programs."""
    architecture, colon, sizes = model.rpartition(":")
    names = ("--scales", "--blocks", "--width", "--batch") if colon else ("--depth", "--width", "--batch")
    found = ["--architecture", architecture] if colon else []
    for name, size in zip(names, sizes.split("x"), strict=True):
        found += [name, size]
    return found


def measure(command: list[str], options: argparse.Namespace, model: str, job: str, variant: str | None = None) -> dict:
    """A line; of a variant of PyTorch that takes too long one that says so."""
    command = command + [
        job, *model_options(model), "--image-size", str(options.image_size), "--threads", str(options.threads),
        "--optimizer", options.optimizer, "--runs", str(options.runs)]
    limit = options.timeout if variant else None
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        print(f"{model} {job} {variant}: not finished after {limit:.0f} s", file=sys.stderr, flush=True)
        return {"model": model, "job": job, "variant": variant, "not_finished_after_seconds": limit}
    if result.returncode != 0:
        sys.exit(f"compare.py: failed with status {result.returncode}: {' '.join(command)}")
    line = json.loads(result.stdout) | {"model": model}
    name = line.get("variant", "glow")
    print(
        f"{model} {job} {name}: {line['images_per_second']:.1f} images/s, {line['fraction_of_peak']:.0%} of "
        f"{line['peak_gflops']:.0f} GFLOP/s, {line['peak_memory_mb']} MB", file=sys.stderr, flush=True)
    return line


def first_line(*command: str) -> str | None:
    """Of what a command says, in the folder of this file; None where it cannot tell, as git outside of a repository."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.splitlines()[0]


def versions(options: argparse.Namespace) -> dict:
    """Of the programs, and of what they are built with."""
    import torch

    onednn = re.search(r"(?:DNN|oneDNN) v(\S+)", torch.__config__.show())
    return {
        "commit": first_line("git", "describe", "--always", "--dirty", "--abbrev=12"),
        "glow": first_line(os.path.abspath(options.glow), "--version"), "swift": first_line("swift", "--version"),
        "openblas": first_line("pkg-config", "--modversion", "openblas"), "pytorch": torch.__version__,
        "onednn": onednn[1] if onednn else None}


def machine(options: argparse.Namespace) -> dict:
    """What the figures depend on besides the programs."""
    facts = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    return {
        "processor": facts["model name"], "family": int(facts["cpu family"]), "model": int(facts["model"]),
        "clock_mhz": float(facts["cpu MHz"]), "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "kernel": platform.release(), "versions": versions(options), "rounds": options.rounds, "runs": options.runs}


def main() -> None:
    options = arguments()
    if options.out:
        Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    out = open(options.out, "w") if options.out else sys.stdout
    print(json.dumps(machine(options)), file=out, flush=True)
    for _ in range(options.rounds):
        for model in options.models:
            for job in options.jobs:
                glow = [options.glow, "bench", "--json", "--passes"]
                if model.startswith("realnvp:"):
                    # As that of PyTorch.
                    glow += ["--flow-normalization", "none"]
                lines = [measure(glow, options, model, job)]
                for variant in options.variants:
                    pytorch = [sys.executable, BENCH, "--variants", variant]
                    lines.append(measure(pytorch, options, model, job, variant))
                for line in lines:
                    print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
