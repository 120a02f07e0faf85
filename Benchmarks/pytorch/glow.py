"""Glow (Kingma & Dhariwal 2018) in PyTorch, written to be as fast as PyTorch allows while staying plain.

The parameterization is that of the Swift implementation, whose parameter names it shares, except that the 3x3
convolutions pad with zeros only: there is no edge indicator. Tensors are [N, C, H, W]. As there, what is linear
and per channel (actnorm, exp(3·logs)) is folded into the weights of a convolution once per pass, instead of
being applied to every position; and once for all passes of a model that is frozen.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOGS_FACTOR = 3.0


class Folding(nn.Module):
    """What is made of the parameters alone: anew in each pass, or kept."""

    kept = None

    def folded(self):
        return self.fold() if self.kept is None else self.kept

    def freeze(self) -> None:
        self.kept = self.fold()


class ActNorm(nn.Module):
    """y = (x + bias)·exp(3·logs), never applied by itself but folded into a neighboring convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.logs = nn.Parameter(torch.zeros(channels))

    def scale(self) -> Tensor:
        return torch.exp(LOGS_FACTOR * self.logs)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        """Gives every channel of the batch `x` mean 0 and deviation 1 after the map."""
        self.bias.copy_(-x.mean(dim=(0, 2, 3)))
        deviation = x.var(dim=(0, 2, 3), correction=0).sqrt()
        self.logs.copy_(-torch.log(deviation + 1e-6) / LOGS_FACTOR)


class Convolution(nn.Module):
    """A convolution without bias of its own. Its initial weights are N(0, 0.05²)."""

    def __init__(self, inputs: int, outputs: int, size: int):
        super().__init__()
        self.padding = size // 2
        self.weight = nn.Parameter(0.05 * torch.randn(outputs, inputs, size, size))

    def fold(self, norm: ActNorm) -> tuple[Tensor, Tensor]:
        """Weight and bias of the convolution and the actnorm after it in one."""
        scale = norm.scale()
        return scaled(self.weight, scale), norm.bias * scale

    def forward(self, x: Tensor, folded: tuple[Tensor, Tensor]) -> Tensor:
        return F.conv2d(x, *folded, padding=self.padding)


def scaled(weight: Tensor, scale: Tensor) -> Tensor:
    return weight * scale[:, None, None, None]


class ZeroConvolution(ActNorm, Folding):
    """y = (conv3x3(x) + bias)·exp(3·logs), all zero at the start."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__(outputs)
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, 3, 3))

    def fold(self) -> tuple[Tensor, Tensor]:
        scale = self.scale()
        return scaled(self.weight, scale), self.bias * scale

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, *self.folded(), padding=1)


class CouplingNetwork(Folding):
    """3x3 → actnorm → ReLU → 1x1 → actnorm → ReLU → zero convolution. Returns (shift, scale's argument)."""

    def __init__(self, half: int, width: int):
        super().__init__()
        self.conv1 = Convolution(half, width, 3)
        self.actnorm1 = ActNorm(width)
        self.conv2 = Convolution(width, width, 1)
        self.actnorm2 = ActNorm(width)
        self.conv3 = ZeroConvolution(width, 2 * half)

    def fold(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        return self.conv1.fold(self.actnorm1), self.conv2.fold(self.actnorm2)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        first, second = self.folded()
        hidden = F.relu_(self.conv1(z, first))
        hidden = F.relu_(self.conv2(hidden, second))
        return self.conv3(hidden).chunk(2, dim=1)

    @torch.no_grad()
    def initialize(self, z: Tensor) -> None:
        self.actnorm1.initialize(F.conv2d(z, self.conv1.weight, padding=1))
        hidden = F.relu_(self.conv1(z, self.conv1.fold(self.actnorm1)))
        self.actnorm2.initialize(F.conv2d(hidden, self.conv2.weight))


class InvertibleConvolution(nn.Module):
    """y = x·weight for row vectors of channels; a random rotation at the start."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(channels, channels))[0].contiguous())


class FlowStep(Folding):
    """Actnorm, invertible 1x1 convolution, affine coupling."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.actnorm = ActNorm(channels)
        self.invconv = InvertibleConvolution(channels)
        self.coupling = CouplingNetwork(channels // 2, width)

    def channel_map(self) -> tuple[Tensor, Tensor]:
        """Actnorm and 1x1 convolution as x·A + c: A [in, out] and c [out]."""
        scale = self.actnorm.scale()
        return scale[:, None] * self.invconv.weight, (self.actnorm.bias * scale) @ self.invconv.weight

    def fold(self) -> tuple[Tensor, Tensor]:
        """The channel map as weight and bias of a convolution."""
        matrix, bias = self.channel_map()
        return matrix.t()[:, :, None, None], bias

    kept_inverse = None

    def fold_inverse(self) -> tuple[Tensor, Tensor]:
        matrix, bias = self.channel_map()
        inverse = torch.linalg.inv(matrix)
        return inverse.t()[:, :, None, None], -bias @ inverse

    def freeze(self) -> None:
        super().freeze()
        self.kept_inverse = self.fold_inverse()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the output and the coupling's log-determinant of each image."""
        first, second = F.conv2d(x, *self.folded()).chunk(2, dim=1)
        shift, argument = self.coupling(first)
        argument = argument + 2
        second = (second + shift) * torch.sigmoid(argument)
        return torch.cat([first, second], dim=1), F.logsigmoid(argument).sum(dim=(1, 2, 3))

    def inverse(self, y: Tensor) -> Tensor:
        first, second = y.chunk(2, dim=1)
        shift, argument = self.coupling(first)
        # 1/sigmoid(a) = 1 + exp(−a)
        second = second * (1 + torch.exp(-2 - argument)) - shift
        inverse = self.fold_inverse() if self.kept_inverse is None else self.kept_inverse
        return F.conv2d(torch.cat([first, second], dim=1), *inverse)

    @torch.no_grad()
    def initialize(self, x: Tensor) -> None:
        self.actnorm.initialize(x)
        self.coupling.initialize(F.conv2d(x, *self.fold()).chunk(2, dim=1)[0])


class Split(nn.Module):
    """z2 ~ N(mean, exp(logs)²) given z1; what leaves the flow is ε."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = ZeroConvolution(channels // 2, channels)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns z1, ε and ln p(z2 | z1) of each image."""
        first, second = z.chunk(2, dim=1)
        mean, logs = self.conv(first).chunk(2, dim=1)
        return first, *gaussian(second, mean, logs)

    def inverse(self, first: Tensor, epsilon: Tensor) -> Tensor:
        mean, logs = self.conv(first).chunk(2, dim=1)
        return torch.cat([first, mean + torch.exp(logs) * epsilon], dim=1)


def gaussian(z: Tensor, mean: Tensor, logs: Tensor) -> tuple[Tensor, Tensor]:
    """ε and the log-density of each image under N(mean, exp(logs)²)."""
    epsilon = (z - mean) * torch.exp(-logs)
    return epsilon, -(0.5 * (epsilon.square() + math.log(2 * math.pi)) + logs).sum(dim=(1, 2, 3))


class Level(Folding):
    """`depth` flow steps, and a split unless it is the last level."""

    def __init__(self, channels: int, depth: int, width: int, is_last: bool):
        super().__init__()
        self.steps = [FlowStep(channels, width) for _ in range(depth)]
        for index, step in enumerate(self.steps):
            self.add_module(f"step{index}", step)
        self.split = None if is_last else Split(channels)

    def fold(self) -> Tensor:
        """Σ ln |det A| of the steps' channel maps, per position, in float64."""
        weights = torch.stack([step.invconv.weight for step in self.steps]).double()
        logs = torch.stack([step.actnorm.logs for step in self.steps]).double()
        return torch.linalg.slogdet(weights).logabsdet.sum() + LOGS_FACTOR * logs.sum()


class TopPrior(Folding):
    """z ~ N(mean, exp(logs)²) with a learned mean and logs of each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.prior = ActNorm(2 * channels)

    def fold(self) -> Tensor:
        return (self.prior.bias * self.prior.scale())[None, :, None, None]

    def forward(self, shape: torch.Size) -> tuple[Tensor, Tensor]:
        mean, logs = self.folded().expand(-1, -1, *shape[2:]).chunk(2, dim=1)
        return mean, logs


class Glow(nn.Module):
    step = FlowStep

    def __init__(self, levels=3, depth=8, width=512, image_size=32, image_channels=3, bits=8):
        super().__init__()
        self.bits = bits
        self.image_shape = (image_channels, image_size, image_size)
        self.levels = []
        channels = image_channels
        for index in range(levels):
            channels *= 4
            level = Level(channels, depth, width, is_last=index == levels - 1)
            self.levels.append(level)
            self.add_module(f"level{index}", level)
            if level.split is not None:
                channels //= 2
        self.top = TopPrior(channels)

    @property
    def dimensions(self) -> int:
        return math.prod(self.image_shape)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """ε of each level, and the log-likelihood of each image [N], of values in [−½, ½)."""
        z = images
        log_likelihood = torch.full(
            (len(images),), -self.dimensions * self.bits * math.log(2), dtype=torch.float64)
        latents = []
        for level in self.levels:
            z = F.pixel_unshuffle(z, 2)
            log_likelihood = log_likelihood + z.shape[2] * z.shape[3] * level.folded()
            for step in level.steps:
                z, log_determinant = step(z)
                log_likelihood = log_likelihood + log_determinant
            if level.split is not None:
                z, epsilon, log_density = level.split(z)
            else:
                epsilon, log_density = gaussian(z, *self.top(z.shape))
            latents.append(epsilon)
            log_likelihood = log_likelihood + log_density
        return latents, log_likelihood

    def inverse(self, latents: list[Tensor]) -> Tensor:
        """Images from ε of each level."""
        mean, logs = self.top(latents[-1].shape)
        z = mean + torch.exp(logs) * latents[-1]
        for level, epsilon in zip(reversed(self.levels), reversed(latents)):
            if level.split is not None:
                z = level.split.inverse(z, epsilon)
            for step in reversed(level.steps):
                z = step.inverse(z)
            z = F.pixel_shuffle(z, 2)
        return z

    def bits_per_dimension(self, images: Tensor) -> Tensor:
        return -self(images)[1] / (self.dimensions * math.log(2))

    def multiply_adds(self) -> int:
        """Of one image forward: the three convolutions of every coupling network."""
        size = self.image_shape[1]
        total = 0
        for level in self.levels:
            size //= 2
            for step in level.steps:
                network = step.coupling
                weights = (network.conv1.weight, network.conv2.weight, network.conv3.weight)
                total += size * size * sum(weight.numel() for weight in weights)
        return total

    def latent_shapes(self, count: int) -> list[tuple[int, ...]]:
        channels, height, width = self.image_shape
        shapes = []
        for level in self.levels:
            channels, height, width = 4 * channels, height // 2, width // 2
            if level.split is not None:
                channels //= 2
            shapes.append((count, channels, height, width))
        return shapes

    @torch.no_grad()
    def freeze(self) -> None:
        """Folds once for all passes to come; for a model that is not trained any more."""
        for module in self.modules():
            if isinstance(module, Folding):
                module.freeze()

    @torch.no_grad()
    def initialize(self, images: Tensor) -> None:
        """Sets every actnorm from a batch, one step after the other."""
        z = images
        for level in self.levels:
            z = F.pixel_unshuffle(z, 2)
            for step in level.steps:
                step.initialize(z)
                z, _ = step(z)
            if level.split is not None:
                z = level.split(z)[0]
