"""Compares the speed of `glow bench`, as a share of the sgemm peak of the same minutes, and the allocations of a training
step with thresholds.json. For those who change kernels.

A share that is too low is measured again, twice at most: machines are busy at times, but they are never too fast.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True,
        env=dict(os.environ, **environment))


def share(glow: str, options: str, job: str) -> tuple[float, str]:
    line = json.loads(run([glow, "bench", "--json", *options.split(), job]).stdout)
    return line["fraction_of_peak"], line["kernels"].split(", ")[-1]


def allocations(glow: str, library: str) -> float:
    """Of a training step, images read ahead included, in a small model: what ten further steps allocate."""
    model = "--levels 2 --depth 2 --width 32 --batch 16 --kernels packed train --runs".split()

    def count(runs: int) -> int:
        found = run([glow, "bench", *model, str(runs)], LD_PRELOAD=library)
        return int(re.search(r"allocations: (\d+)", found.stderr)[1])

    return (count(12) - count(2)) / 10


def main() -> None:
    glow, library = sys.argv[1:]
    thresholds = json.loads((HERE / "thresholds.json").read_text())
    failures = 0
    print(f"thresholds of {thresholds['measured_on']}")
    for options, jobs in thresholds["share_of_peak"].items():
        for job, least in jobs.items():
            for _ in range(3):
                found, kernels = share(glow, options, job)
                wanted = least.get(kernels)
                if wanted is None or found >= wanted:
                    break
            if wanted is None:
                print(f"{options} {job}, {kernels}: {found:.1%} of the peak; there is no threshold", flush=True)
                continue
            verdict = "ok" if found >= wanted else "TOO SLOW"
            failures += found < wanted
            print(f"{options} {job}, {kernels}: {found:.1%} of the peak, at least {wanted:.0%}: {verdict}", flush=True)
    found, most = allocations(glow, library), thresholds["allocations_per_step"]
    failures += found > most
    print(f"{found:.0f} allocations a training step, at most {most}: {'ok' if found <= most else 'TOO MANY'}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
