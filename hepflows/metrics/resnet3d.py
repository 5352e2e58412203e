"""The 3-D convolutional classifier of the CaloChallenge: a residual network of 18 layers on images of regular cylinders."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.nets import Linear, initialise

_WIDTHS, _STRIDES = (32, 64, 64, 128), (1, 2, 2, 2)


class Convolution(nn.Conv3d):
    """A 3-D convolution without bias, padded with zeros; weights of mean 0 and variance 2 / (outputs * size^3).

    Padding of more than one voxel is written out: told to pad images no longer than the padding, the weight gradient of oneDNN 3.12, in
    torch 2.13, reads beyond the image: what is there, wrong by any factor, not a number, or a crash.
    """

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, source: torch.Generator) -> None:
        written_out = size // 2 if size > 3 else 0
        super().__init__(inputs, outputs, size, stride=stride, padding=size // 2 - written_out, bias=False)
        self.written_out = written_out
        with torch.no_grad():
            self.weight.normal_(0.0, sqrt(2.0 / (outputs * size**3)), generator=source)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve (n, inputs, n_z, n_alpha, n_r)."""
        return super().forward(functional.pad(images, (self.written_out,) * 6) if self.written_out else images)

    def reset_parameters(self) -> None:
        """Draw nothing: torch's own would draw from its global state."""


class Block(nn.Module):
    """Two convolutions of size 3, each normalised by its batch, and a shortcut around both (arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int, source: torch.Generator) -> None:
        super().__init__()
        self.first, self.first_norm = Convolution(inputs, outputs, 3, stride, source), nn.BatchNorm3d(outputs)
        self.second, self.second_norm = Convolution(outputs, outputs, 3, 1, source), nn.BatchNorm3d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(Convolution(inputs, outputs, 1, stride, source), nn.BatchNorm3d(outputs))

    def forward(self, h: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(h)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(h))


class ResNet3d(nn.Module):
    r"""Residual network of 18 layers in three dimensions, as in the evaluation of the CaloChallenge (arXiv:2410.21611).

    The image (n_z, n_alpha, n_r) passes a convolution of size 7 and stride 2 and a maximum over 3 voxels of stride 2, then
    four pairs of residual blocks (arXiv:1512.03385) with 32, 64, 64 and 128 channels, of which all but the first pair halve
    the image, and is averaged. The incident energy, normalised by the batch, joins the 128 averages before the last layer.
    All is padded with zeros, in the angle too, as in the original: the image is not closed to a ring.

    Args:
        image: (n_z, n_alpha, n_r), the last index the fastest.
        source: draws the first weights.
        dtype: of weights and arithmetic.

    >>> network = ResNet3d((45, 16, 9), torch.Generator().manual_seed(0))
    >>> network(torch.zeros(2, 1 + 45 * 16 * 9)).shape, sum(one.numel() for one in network.parameters())
    (torch.Size([2]), 2516644)
    """

    chunk = 200  # events a forward pass: 300 MB of activations for images of (45, 50, 18)

    def __init__(
        self, image: tuple[int, int, int], source: torch.Generator, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.image = image
        self.stem, self.stem_norm = Convolution(1, _WIDTHS[0], 7, 2, source), nn.BatchNorm3d(_WIDTHS[0])
        blocks, before = [], _WIDTHS[0]
        for width, stride in zip(_WIDTHS, _STRIDES, strict=True):
            blocks += [Block(before, width, stride, source), Block(width, width, 1, source)]
            before = width
        self.blocks = nn.Sequential(*blocks)
        self.energy_norm = nn.BatchNorm1d(1)
        self.last = Linear(before + 1, 1)
        initialise(self.last, source)
        self.to(dtype)

    def forward(self, inputs: Tensor, source: torch.Generator | None = None) -> Tensor:
        """Logits (n,) of inputs (n, 1 + n_z * n_alpha * n_r), the energy first; no unit is dropped: ``source`` is not used."""
        images = inputs[:, 1:].reshape(-1, 1, *self.image)
        h = functional.relu(self.stem_norm(self.stem(images)))
        h = self.blocks(functional.max_pool3d(h, 3, stride=2, padding=1))
        joined = torch.cat([h.mean(dim=(2, 3, 4)), self.energy_norm(inputs[:, :1])], dim=1)
        return self.last(joined).squeeze(-1)  # type: ignore[no-any-return]
