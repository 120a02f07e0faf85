"""Times the PyTorch Glow, or RealNVP: the same jobs, models and measures as `glow bench`. Prints one JSON object a line.

Every (variant, job) runs in a process of its own, so that its peak memory is its own and nothing is warm that
should not be. All arithmetic is float32.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

JOBS = ("train", "evaluate", "sample")
VARIANTS = ("eager", "channels_last", "compile", "compile+channels_last")
PRODUCT_SIZE = 2048


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jobs", nargs="*", metavar="job", help="train, evaluate, sample; default all")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="default all: %(default)s")
    parser.add_argument("--architecture", choices=("glow", "realnvp"), default="glow")
    parser.add_argument("--scales", type=int, default=2, help="of a RealNVP")
    parser.add_argument("--blocks", type=int, default=8, help="of a RealNVP's networks")
    parser.add_argument("--levels", type=int, default=3)
    parser.add_argument("--depth", type=int, default=8)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--optimizer", choices=("adamax", "muon"), default="adamax", help="of training")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--runs", type=int, default=7, help="timed repetitions, after two that are not")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.architecture == "realnvp" and options.optimizer == "muon":
        parser.error("--optimizer muon is for filters, which a RealNVP normalizes")
    options.jobs = options.jobs or list(JOBS)
    options.variants = options.variants.split(",")
    for given, known in ((options.jobs, JOBS), (options.variants, VARIANTS)):
        for name in given:
            if name not in known:
                parser.error(f"unknown {name!r}; known are {', '.join(known)}")
    return options


def run_in_own_process(options: argparse.Namespace, variant: str, job: str) -> None:
    command = [sys.executable, os.path.abspath(__file__), "--here", "--variants", variant, job]
    for name in (
            "architecture", "scales", "blocks", "levels", "depth", "width", "batch", "image_size", "optimizer",
            "threads", "runs"):
        command += ["--" + name.replace("_", "-"), str(getattr(options, name))]
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), THP_MEM_ALLOC_ENABLE="1")
    subprocess.run(command, env=environment, check=True)


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Product:
    """A product of 2048³."""

    def __init__(self):
        import torch

        self.first, self.second = torch.rand(2, PRODUCT_SIZE, PRODUCT_SIZE)
        self.result = torch.empty(PRODUCT_SIZE, PRODUCT_SIZE)
        self.speed()

    def speed(self) -> float:
        """Floating-point operations a second, measured once."""
        import torch

        return 2 * PRODUCT_SIZE**3 / seconds(lambda: torch.mm(self.first, self.second, out=self.result))


def seconds(body) -> float:
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def make(options: argparse.Namespace):
    if options.architecture == "realnvp":
        from realnvp import RealNVP

        return RealNVP(options.scales, options.blocks, options.width, options.image_size)
    from glow import Glow

    return Glow(options.levels, options.depth, options.width, options.image_size)


def compile_steps(step) -> None:
    """Compiles a flow step, or a coupling, once for each level, where all have the same shapes."""
    import torch

    step.forward = torch.compile(step.forward)
    step.inverse = torch.compile(step.inverse)


class Muon:
    """As `--optimizer muon` of this package (docs/math.md): Muon for the filters of convolutions, Adam for the rest.
    Filters of one shape are a batch of matrices, which is several times as fast as one after the other."""

    COEFFICIENTS = ((8.09337, -23.62043, 17.44615), (3.63659, -2.72193, 0.53655), (2.6613, -1.97715, 0.45262))

    def __init__(self, model, rate: float, beta: float = 0.9):
        import torch

        filters = [weight for weight in model.parameters() if weight.ndim == 4]
        rest = [weight for weight in model.parameters() if weight.ndim != 4]
        self.adam = torch.optim.Adam(rest, lr=rate, foreach=True)
        self.rate, self.beta = rate, beta
        shapes = {}
        for weight in filters:
            shapes.setdefault(tuple(weight.shape), []).append(weight)
        # Of each shape: weights, and their momentum as a batch of matrices [outputs, inputs × taps].
        self.groups = [
            (weights, torch.zeros(len(weights), shape[0], weights[0][0].numel())) for shape, weights in shapes.items()]

    def zero_grad(self, set_to_none: bool):
        self.adam.zero_grad(set_to_none)
        for weights, _ in self.groups:
            for weight in weights:
                weight.grad = None

    def step(self):
        import torch

        self.adam.step()
        with torch.no_grad():
            for weights, momentum in self.groups:
                gradient = torch.stack([weight.grad.reshape(len(weight), -1) for weight in weights])
                momentum.lerp_(gradient, 1 - self.beta)
                direction = self.orthogonal(torch.lerp(gradient, momentum, self.beta))
                rate = 0.2 * self.rate * max(direction.shape[1:]) ** 0.5
                changes = [change.view_as(weight) for change, weight in zip(direction, weights)]
                torch._foreach_add_(weights, changes, alpha=-rate)

    def orthogonal(self, matrices):
        import torch

        is_tall = matrices.shape[1] > matrices.shape[2]
        x = matrices.transpose(1, 2) if is_tall else matrices
        x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-30)
        for a, b, c in self.COEFFICIENTS:
            gram = torch.bmm(x, x.transpose(1, 2))
            polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
            x = torch.baddbmm(x, polynomial, x, beta=a)
        return x.transpose(1, 2) if is_tall else x


def training_step(model, images, kind: str):
    """Loss, gradient, optimizer and moving average of the weights, as a function without arguments."""
    import torch
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    optimizer = Muon(model, 1e-3) if kind == "muon" else torch.optim.Adamax(model.parameters(), lr=1e-3, foreach=True)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))

    def step():
        model.bits_per_dimension(images).mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.update_parameters(model)

    return step


def inference_step(function, argument):
    import torch

    def step():
        with torch.inference_mode():
            function(argument)

    return step


def measure(options: argparse.Namespace, variant: str, job: str) -> dict:
    import torch

    torch.set_num_threads(options.threads)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(True)
    torch.manual_seed(1)
    model = make(options)
    images = torch.rand(options.batch, *model.image_shape) - 0.5
    model.initialize(images[:16])
    if "channels_last" in variant:
        model = model.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if job != "train":
        model.freeze()
    if "compile" in variant:
        compile_steps(model.step)
    memory_before = peak_memory()
    if job == "train":
        step = training_step(model, images, options.optimizer)
    elif job == "evaluate":
        step = inference_step(model.bits_per_dimension, images)
    else:
        latents = [torch.randn(shape) for shape in model.latent_shapes(options.batch)]
        if "channels_last" in variant:
            latents = [part.to(memory_format=torch.channels_last) for part in latents]
        step = inference_step(model.inverse, latents)
    warm_up = seconds(lambda: (step(), step()))
    product = Product()
    times, products = [], []
    for _ in range(options.runs):
        products.append(product.speed())
        times.append(seconds(step))
    median, peak = statistics.median(times), statistics.median(products)
    work = 2 * model.multiply_adds() * options.batch * (3 if job == "train" else 1)
    return {
        "implementation": f"PyTorch {torch.__version__}", "variant": variant, "job": job,
        "architecture": options.architecture, "scales": options.scales, "blocks": options.blocks,
        "levels": options.levels, "depth": options.depth, "width": options.width, "batch": options.batch,
        "image_size": options.image_size, "optimizer": options.optimizer, "threads": options.threads,
        "images_per_second": options.batch / median, "gflops": work / median / 1e9,
        "fraction_of_peak": work / median / peak, "peak_gflops": peak / 1e9,
        "peak_memory_mb": peak_memory() // 1_000_000, "memory_before_mb": memory_before // 1_000_000,
        "warm_up_seconds": warm_up,
    }


def main() -> None:
    options = arguments()
    for job in options.jobs:
        for variant in options.variants:
            if options.here:
                print(json.dumps(measure(options, variant, job)), flush=True)
            else:
                run_in_own_process(options, variant, job)


if __name__ == "__main__":
    main()
