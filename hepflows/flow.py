"""A flow: a bijection plus a base density."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from hepflows.bases import Base, Gaussian
from hepflows.bijections.base import Bijection
from hepflows.bijections.implicit import gradients_wanted
from hepflows.errors import ShapeError
from hepflows.shapes import check_all, flatten, rows, sample_shape, spread

CHUNK_NUMBERS, CHUNK_EVENTS = 1 << 20, 1 << 10
"""Where no gradient is wanted, as many events are handled at once as keep the widest layer within so many numbers, but no fewer than 1024.

What is handled at once then stays in the cache, and a sweep through a wide network has enough to do at every step. Measured on one core
with the pure-torch kernels, medians of 3 beside other work: ``coupling_flow(10)``, widest layer 115, density of 100k events: 0.53 s with
2k to 9k at once, 0.63 s with 36k. ``maf(504)``, widest layer 11592, density and sample of 4000 events: 0.9 s and 3.7 s with 180 at once,
1.1 s and 1.4 s with 723, 1.2 s and 1.0 s with 1447.
"""


class Flow(nn.Module):
    r"""Density and sampler: :math:`\log p(x|c) = \log p_0(f(x; c)) + \log |\det \partial f / \partial x|`.

    Args:
        bijection: from data to latent space.
        base: density of the latents; a standard normal where not given.

    Shapes: ``x`` ``(*sample, *batch, D)``, ``context`` ``(*batch, C)``, densities ``(*sample, *batch)``.

    Example:
        >>> from hepflows.zoo import maf
        >>> flow = maf(features=2, context_features=1, seed=0)
        >>> context = torch.zeros(5, 1)
        >>> x = flow.sample(3, context, generator=torch.Generator().manual_seed(1))
        >>> x.shape, flow.log_prob(x, context).shape
        (torch.Size([3, 5, 2]), torch.Size([3, 5]))
    """

    def __init__(self, bijection: Bijection, base: Base | None = None) -> None:
        super().__init__()
        self.bijection = bijection
        self.base = Gaussian(bijection.features) if base is None else base
        if self.base.features != bijection.features:
            message = f"the bijection has {bijection.features} features and the base density {self.base.features}: make them equal"
            raise ShapeError(message)

    @property
    def features(self) -> int:
        """Dimension of the data."""
        return self.bijection.features

    @property
    def context_features(self) -> int:
        """Width of the context, zero for none."""
        return self.bijection.context_features

    def log_prob(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Log density of ``x``, ``(*sample, *batch)``; in chunks of bounded memory where no gradient is wanted."""
        check_all(self, x, context, self.features, self.context_features)
        context = spread(x, context)
        leading = x.shape[:-1]
        size = self._chunk(x, context)
        if leading.numel() <= size:
            points, context, _ = flatten(x, context)
            return self._log_prob(points, context).reshape(leading)
        density = x.new_empty(leading.numel())
        for start, stop in _ranges(len(density), size):
            density[start:stop] = self._log_prob(
                rows(x, start, stop), None if context is None else rows(context, start, stop)
            )
        return density.view(leading)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        z, ladj = self.bijection._forward(x, context)
        return self.base.log_prob(z) + ladj

    def sample(
        self, n: int | tuple[int, ...] = (), context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw ``n`` points for each row of the context: ``(*n, *batch, D)``, without gradients."""
        with torch.no_grad():
            return self._draw(n, context, generator)[0]

    def sample_and_log_prob(
        self, n: int | tuple[int, ...] = (), context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw as `sample` does and return the log density of each point too, at no extra pass."""
        with torch.no_grad():
            return self._draw(n, context, generator)

    def rsample_and_log_prob(
        self, n: int | tuple[int, ...] = (), context: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """As `sample_and_log_prob`, with gradients through the draw (reparametrised)."""
        return self._draw(n, context, generator)

    def _draw(
        self, n: int | tuple[int, ...], context: Tensor | None, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        check_all(self, None, context, self.features, self.context_features)
        batch = () if context is None else tuple(context.shape[:-1])
        leading = torch.Size((*sample_shape(n), *batch))
        # all the noise at once: what is drawn does not depend on the size of the chunks
        noise = self.base.sample(leading.numel(), generator).view(*leading, self.features)
        context = spread(noise, context)
        size = self._chunk(noise, context)
        if leading.numel() <= size:
            z, context, _ = flatten(noise, context)
            points, density = self._invert(z, context)
        else:
            points, density = noise.new_empty(leading.numel(), self.features), noise.new_empty(leading.numel())
            for start, stop in _ranges(len(density), size):
                points[start:stop], density[start:stop] = self._invert(
                    rows(noise, start, stop), None if context is None else rows(context, start, stop)
                )
        return points.reshape(*leading, self.features), density.reshape(leading)

    def _invert(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x, ladj = self.bijection._inverse(z, context)
        return x, self.base.log_prob(z) - ladj

    def _chunk(self, x: Tensor, context: Tensor | None) -> int:
        """How many events to handle at once."""
        if gradients_wanted([x, context, *self.parameters()]):
            return x.shape[:-1].numel()  # the graph holds all of them anyway
        widest = max([self.features, *[len(parameter) for parameter in self.parameters() if parameter.ndim]])
        return max(CHUNK_EVENTS, CHUNK_NUMBERS // widest)


def _ranges(n: int, size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + size, n)) for start in range(0, n, size))
