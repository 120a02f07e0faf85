"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017) in PyTorch, plainly: the layout and the parameters' names of the Swift
implementation, which has them of chrischute/real-nvp. Tensors are [N, C, H, W].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glow import Folding

CONTRACTION = 0.9


class Normalization(nn.BatchNorm2d):
    """Batch normalization; its statistics are the batch's in training, else those that training has kept."""


class Convolution(Folding):
    """A convolution whose filters are weight-normalized: g·v/‖v‖."""

    def __init__(self, inputs: int, outputs: int, size: int, has_bias: bool = True):
        super().__init__()
        self.padding = size // 2
        bound = 1 / math.sqrt(inputs * size * size)
        self.weight_v = nn.Parameter(torch.empty(outputs, inputs, size, size).uniform_(-bound, bound))
        self.weight_g = nn.Parameter(self.weight_v.detach().flatten(1).norm(dim=1))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-bound, bound)) if has_bias else None

    def fold(self) -> Tensor:
        return torch._weight_norm(self.weight_v, self.weight_g[:, None, None, None], 0)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.folded(), self.bias, padding=self.padding)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.in_norm = Normalization(width)
        self.in_conv = Convolution(width, width, 3, has_bias=False)
        self.out_norm = Normalization(width)
        self.out_conv = Convolution(width, width, 3)
        self.skip = Convolution(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.in_conv(F.relu_(self.in_norm(x)))
        return x + self.out_conv(F.relu_(self.out_norm(inner)))


class Coupling(nn.Module):
    """y = (x + t)·exp(s) where the mask says so, s = rescale·tanh(a), a and t from a residual network of the rest.

    `kind` is "checkerboard" or "channels"; `is_first` whether the even squares, or the first half of the channels, change.
    """

    def __init__(self, kind: str, is_first: bool, channels: int, width: int, blocks: int):
        super().__init__()
        self.is_checkerboard, self.is_first = kind == "checkerboard", is_first
        seen = channels if self.is_checkerboard else channels // 2
        self.in_norm = Normalization(seen)
        self.in_conv = Convolution(2 * seen, width, 3)
        self.in_skip = Convolution(width, width, 1)
        self.blocks = [Block(width) for _ in range(blocks)]
        for index, block in enumerate(self.blocks):
            self.add_module(f"block{index}", block)
        self.out_norm = Normalization(width)
        self.out_conv = Convolution(width, 2 * seen, 1)
        self.rescale = nn.Parameter(torch.ones(seen))

    def network(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.in_norm(x)
        if self.is_checkerboard:
            x = 2 * x
        x = self.in_conv(F.relu_(torch.cat([x, -x], dim=1)))
        total = self.in_skip(x)
        for block in self.blocks:
            x = block(x)
            total = total + block.skip(x)
        argument, shift = self.out_conv(F.relu_(self.out_norm(total))).chunk(2, dim=1)
        return self.rescale[None, :, None, None] * torch.tanh(argument), shift

    def changed(self, x: Tensor) -> Tensor:
        """1 on the squares that change, 0 on the others."""
        rows, columns = (torch.arange(count, device=x.device) for count in x.shape[2:])
        even = (rows[:, None] + columns[None, :]) % 2 == 0
        return (even if self.is_first else ~even).to(x.dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the output and the log-determinant of each image."""
        if self.is_checkerboard:
            changed = self.changed(x)
            s, t = self.network(x * (1 - changed))
            s, t = s * changed, t * changed
            return (x + t) * torch.exp(s), s.sum(dim=(1, 2, 3))
        first, second = x.chunk(2, dim=1)
        if self.is_first:
            s, t = self.network(second)
            return torch.cat([(first + t) * torch.exp(s), second], dim=1), s.sum(dim=(1, 2, 3))
        s, t = self.network(first)
        return torch.cat([first, (second + t) * torch.exp(s)], dim=1), s.sum(dim=(1, 2, 3))

    def inverse(self, y: Tensor) -> Tensor:
        if self.is_checkerboard:
            changed = self.changed(y)
            s, t = self.network(y * (1 - changed))
            return y * torch.exp(-s * changed) - t * changed
        first, second = y.chunk(2, dim=1)
        if self.is_first:
            s, t = self.network(second)
            return torch.cat([first * torch.exp(-s) - t, second], dim=1)
        s, t = self.network(first)
        return torch.cat([first, second * torch.exp(-s) - t], dim=1)


class RealNVP(nn.Module):
    """At each scale but the last three checkerboard couplings, a squeeze, three channel-wise couplings, and half of the
    channels factored out; at the last scale four checkerboard couplings."""

    step = Coupling

    def __init__(self, scales=2, blocks=8, width=64, image_size=32, image_channels=3):
        super().__init__()
        self.image_shape = (image_channels, image_size, image_size)
        self.scales = []
        channels = image_channels
        for index in range(scales):
            is_last = index == scales - 1
            scale = nn.Module()
            scale.before = [
                Coupling("checkerboard", place % 2 == 0, channels, width, blocks) for place in range(4 if is_last else 3)]
            scale.after = [] if is_last else [
                Coupling("channels", place % 2 == 0, 4 * channels, 2 * width, blocks) for place in range(3)]
            for name, couplings in (("checkerboard", scale.before), ("channels", scale.after)):
                for place, coupling in enumerate(couplings):
                    scale.add_module(f"{name}{place}", coupling)
            self.scales.append(scale)
            self.add_module(f"scale{index}", scale)
            channels, width = 2 * channels, 2 * width

    @property
    def dimensions(self) -> int:
        return math.prod(self.image_shape)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """The latents of each scale, and the log-likelihood of each image [N], of values in [−½, ½)."""
        a, b = torch.log(0.5 + CONTRACTION * images), torch.log(0.5 - CONTRACTION * images)
        z = a - b
        log_likelihood = (-a - b).sum(dim=(1, 2, 3)).double()
        log_likelihood = log_likelihood + self.dimensions * (math.log(CONTRACTION) - math.log(256))
        latents = []
        for scale in self.scales:
            for coupling in scale.before:
                z, log_determinant = coupling(z)
                log_likelihood = log_likelihood + log_determinant
            if scale.after:
                z = F.pixel_unshuffle(z, 2)
                for coupling in scale.after:
                    z, log_determinant = coupling(z)
                    log_likelihood = log_likelihood + log_determinant
                squares = [z[:, square::4] for square in (0, 3, 1, 2)]
                z, epsilon = torch.cat(squares[:2], dim=1), torch.cat(squares[2:], dim=1)
            else:
                epsilon = z
            latents.append(epsilon)
            density = -0.5 * (epsilon.square() + math.log(2 * math.pi))
            log_likelihood = log_likelihood + density.sum(dim=(1, 2, 3))
        return latents, log_likelihood

    def inverse(self, latents: list[Tensor]) -> Tensor:
        z = latents[-1]
        for scale, epsilon in zip(reversed(self.scales), reversed(latents)):
            if scale.after:
                squares = [*z.chunk(2, dim=1), *epsilon.chunk(2, dim=1)]
                z = torch.stack([squares[place] for place in (0, 2, 3, 1)], dim=2).flatten(1, 2)
                for coupling in reversed(scale.after):
                    z = coupling.inverse(z)
                z = F.pixel_shuffle(z, 2)
            for coupling in reversed(scale.before):
                z = coupling.inverse(z)
        return torch.tanh(z / 2) / (2 * CONTRACTION)

    def bits_per_dimension(self, images: Tensor) -> Tensor:
        return -self(images)[1] / (self.dimensions * math.log(2))

    def latent_shapes(self, count: int) -> list[tuple[int, ...]]:
        channels, height, width = self.image_shape
        shapes = []
        for scale in self.scales:
            if scale.after:
                channels, height, width = 2 * channels, height // 2, width // 2
            shapes.append((count, channels, height, width))
        return shapes

    def multiply_adds(self) -> int:
        """Of one image forward: the convolutions of every coupling's network."""
        size = self.image_shape[1]
        total = 0
        for scale in self.scales:
            for couplings in (scale.before, scale.after):
                if couplings is scale.after:
                    size //= 2
                for coupling in couplings:
                    total += size * size * sum(
                        module.weight_v.numel() for module in coupling.modules() if isinstance(module, Convolution))
        return total

    def initialize(self, images: Tensor) -> None:
        """Nothing waits for data."""

    @torch.no_grad()
    def freeze(self) -> None:
        """Folds once for all passes to come, with the statistics that training has kept."""
        self.eval()
        for module in self.modules():
            if isinstance(module, Folding):
                module.freeze()
