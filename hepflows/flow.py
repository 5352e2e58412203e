"""A flow: a bijection plus a base density."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hepflows.bases import Base, Gaussian
from hepflows.bijections.base import Bijection
from hepflows.errors import ShapeError
from hepflows.shapes import check_context, check_features, check_like, flatten, sample_shape

CHUNK_ELEMENTS = 1 << 19
"""Numbers (events times features) handled at once where no gradient is wanted; bounds the memory of any call."""


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
        check_features(x, self.features)
        check_context(context, self.context_features)
        self._check_like(x, context)
        rows, context, leading = flatten(x, context)
        return self._chunked(self._log_prob, rows, context)[0].reshape(leading)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> tuple[Tensor]:
        z, ladj = self.bijection._forward(x, context)
        return (self.base.log_prob(z) + ladj,)

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
        check_context(context, self.context_features)
        batch = () if context is None else tuple(context.shape[:-1])
        leading = (*sample_shape(n), *batch)
        # all the noise at once: what is drawn does not depend on the size of the chunks
        z = self.base.sample(torch.Size(leading).numel(), generator)
        self._check_like(z, context)
        z, context, _ = flatten(z.view(*leading, self.features), context)
        x, log_prob = self._chunked(self._invert, z, context)
        return x.reshape(*leading, self.features), log_prob.reshape(leading)

    def _invert(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        x, ladj = self.bijection._inverse(z, context)
        return x, self.base.log_prob(z) - ladj

    def _chunked(
        self, function: Callable[[Tensor, Tensor | None], tuple[Tensor, ...]], x: Tensor, context: Tensor | None
    ) -> tuple[Tensor, ...]:
        size = max(1, CHUNK_ELEMENTS // self.features)
        if torch.is_grad_enabled() or len(x) <= size:
            return function(x, context)
        parts = [
            function(x[start : start + size], None if context is None else context[start : start + size])
            for start in range(0, len(x), size)
        ]
        return tuple(torch.cat(columns) for columns in zip(*parts, strict=True))

    def _check_like(self, x: Tensor, context: Tensor | None) -> None:
        parameter = next(self.parameters(), self.base.anchor)
        check_like(x, parameter)
        if context is not None:
            check_like(context, parameter, "context")
