"""Checks the PyTorch models against the Swift ones: same weights, same images, same log-likelihoods.

    check.py GLOW [MODEL IMAGES.npy]

GLOW is the command; MODEL a .safetensors file of an unconditional affine Glow with 1x1 convolutions, or of a RealNVP;
IMAGES.npy uint8 [N, H, W, C]. Without the two, a small model of each kind is trained on made-up images first. The PyTorch model has no edge indicator, so the indicator's weights are set to zero in a
copy of MODEL that both sides then read. Compared are the mean bits/dim without dequantization noise, every
latent value, and the images after the way back. Exit status 1 if they differ.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from glow import Glow
from realnvp import RealNVP

RELATIVE_TOLERANCE = 1e-5  # of bits/dim
LATENT_TOLERANCE = 1e-3


def read(path: str) -> tuple[dict[str, numpy.ndarray], dict[str, str]]:
    with safe_open(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def without_edge_indicator(tensors: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    """3x3 weights are stored [3, 3, in + 1, out]; the last input channel is the indicator."""
    tensors = {name: tensor.copy() for name, tensor in tensors.items()}
    for tensor in tensors.values():
        if tensor.ndim == 4:
            tensor[:, :, -1, :] = 0
    return tensors


def to_pytorch(name: str, tensor: numpy.ndarray) -> torch.Tensor:
    """A parameter of the Swift model in the layout of the PyTorch one."""
    if tensor.ndim == 4:
        tensor = tensor[:, :, :-1, :].transpose(3, 2, 0, 1)
    elif name.endswith("conv2.weight"):
        tensor = tensor.T[:, :, None, None]
    # Shift and scale, mean and logs, are interleaved there and halves here.
    if ".conv3." in name or ".split.conv." in name:
        tensor = numpy.concatenate([tensor[0::2], tensor[1::2]])
    return torch.from_numpy(numpy.ascontiguousarray(tensor))


def load_realnvp(tensors: dict[str, numpy.ndarray], configuration: dict) -> RealNVP:
    model = RealNVP(
        configuration["levels"], configuration["blocks"], configuration["width"], configuration["imageHeight"],
        configuration["imageChannels"])
    # Filters are stored [k, k, in, out].
    found = {
        name: torch.from_numpy(numpy.ascontiguousarray(tensor.transpose(3, 2, 0, 1) if tensor.ndim == 4 else tensor))
        for name, tensor in tensors.items() if name != "initialised"}
    missing, unexpected = model.load_state_dict(found, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        sys.exit(f"check.py: parameters that do not fit: {missing} {unexpected}")
    model.freeze()
    return model


def load(tensors: dict[str, numpy.ndarray], configuration: dict) -> Glow:
    expected = {
        "coupling": "affine", "permutation": "invconv", "classCount": 0, "learnsTopPrior": True,
        "imageWidth": configuration["imageHeight"],
    }
    for key, value in expected.items():
        if configuration[key] != value:
            sys.exit(f"check.py: the model has {key} {configuration[key]}, expected {value}")
    model = Glow(
        configuration["levels"], configuration["depth"], configuration["width"],
        configuration["imageHeight"], configuration["imageChannels"], configuration["bits"])
    # The convolution of the top prior sees the indicator and nothing else.
    ignored = ("initialised", "top.prior.weight")
    model.load_state_dict({
        name: to_pytorch(name, tensor) for name, tensor in tensors.items() if name not in ignored})
    return model


def run_glow(glow: str, *arguments: str) -> str:
    result = subprocess.run([glow, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"check.py: glow {arguments[0]} failed: {result.stderr.strip()}")
    return result.stdout


def make_example(glow: str, folder: Path, *options: str) -> tuple[str, str]:
    """A briefly trained model and its images: coarse random patterns with a little noise."""
    generator = numpy.random.default_rng(1)
    coarse = generator.integers(16, 240, (64, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    images_path, run = str(folder / "images.npy"), str(folder / "run")
    numpy.save(images_path, (coarse + generator.integers(-16, 16, coarse.shape)).astype(numpy.uint8))
    run_glow(
        glow, "train", "--data", images_path, "--out", run, *options, "--batch", "16", "--steps", "60", "--warmup-epochs", "0", "--ema", "0.9", "--sample-every", "0",
        "--eval-every", "0")
    return f"{run}/model.safetensors", images_path


def main() -> None:
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        glow, *given = sys.argv[1:]
        if given:
            return compare(glow, *given, Path(folder))
        for options in (
                "--levels 3 --depth 2 --width 64", "--architecture realnvp --scales 2 --blocks 2 --width 16 --flow-normalization none"):
            print(options)
            (Path(folder) / options).mkdir()
            compare(glow, *make_example(glow, Path(folder) / options, *options.split()), Path(folder))


def compare(glow: str, model_path: str, images_path: str, folder: Path) -> None:
    tensors, metadata = read(model_path)
    configuration = json.loads(metadata["glow.configuration"])
    if configuration.get("architecture") == "realnvp":
        model = load_realnvp(tensors, configuration)
    else:
        tensors = without_edge_indicator(tensors)
        model = load(tensors, configuration)
    bits = configuration["bits"]
    pixels = torch.from_numpy(numpy.load(images_path)).permute(0, 3, 1, 2).contiguous()
    images = (pixels >> (8 - bits)).float() / 2**bits - 0.5
    with torch.inference_mode():
        latents, log_likelihoods = model(images)
        restored = model.inverse(latents)
    bits = (-log_likelihoods.mean() / (model.dimensions * torch.tensor(2.0).double().log())).item()

    copy, latents_path = str(folder / "model.safetensors"), str(folder / "latents.npy")
    # The checksums are those of the unchanged weights.
    kept = {key: value for key, value in metadata.items() if not key.startswith("crc32.")}
    save_file(tensors, copy, metadata=kept)
    data = ["--data", images_path, "--dequantization", "none"]
    expected = json.loads(run_glow(glow, "evaluate", copy, *data, "--json"))["bits_per_dim"]
    run_glow(glow, "encode", copy, *data, "--out", latents_path)
    expected_latents = torch.from_numpy(numpy.load(latents_path))
    rows = torch.cat([part.permute(0, 2, 3, 1).flatten(1) for part in latents], dim=1)
    checks = (
        ("bits/dim, relative", abs(bits - expected) / abs(expected), RELATIVE_TOLERANCE),
        ("latents, largest difference", (rows - expected_latents).abs().max().item(), LATENT_TOLERANCE),
        ("there and back, largest difference", (restored - images).abs().max().item(), LATENT_TOLERANCE),
    )
    print(f"{len(images)} images: bits/dim {bits:.7f} in PyTorch, {expected:.7f} in Swift")
    for name, found, allowed in checks:
        print(f"{name}: {found:.2e} (at most {allowed:.0e}) {'ok' if found <= allowed else 'WRONG'}")
    if not all(found <= allowed for _, found, allowed in checks):
        sys.exit(1)


if __name__ == "__main__":
    main()
