"""Base densities: where the latents live."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hepflows.errors import DomainError


class Base(nn.Module):
    """A density of ``features`` independent latents that can be drawn from."""

    anchor: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("anchor", torch.zeros(()), persistent=False)  # carries dtype and device

    def log_prob(self, z: Tensor) -> Tensor:
        """``(..., D)`` latents to ``(...)`` log densities."""
        raise NotImplementedError

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw ``(n, D)`` latents."""
        raise NotImplementedError


class Gaussian(Base):
    r"""The standard normal density, :math:`\log p(z) = -\tfrac12 |z|^2 - \tfrac D2 \log 2\pi`."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * (z * z).sum(-1) - 0.5 * self.features * math.log(2 * math.pi)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.randn(n, self.features, generator=generator, dtype=self.anchor.dtype, device=self.anchor.device)


class UniformBox(Base):
    r"""Uniform in a box: :math:`\log p(z) = -\sum_i \log (b_i - a_i)` inside, minus infinity outside.

    Args:
        low: (D,) lower edges.
        high: (D,) upper edges.
    """

    low: Tensor
    high: Tensor

    def __init__(self, low: Sequence[float], high: Sequence[float]) -> None:
        super().__init__(len(low))
        self.register_buffer("low", torch.as_tensor(low, dtype=torch.get_default_dtype()))
        self.register_buffer("high", torch.as_tensor(high, dtype=torch.get_default_dtype()))
        if self.low.shape != self.high.shape or not bool((self.low < self.high).all()):
            message = f"a UniformBox needs low < high in each of the same number of features, got {low} and {high}"
            raise DomainError(message)

    def log_prob(self, z: Tensor) -> Tensor:
        inside = ((z >= self.low) & (z <= self.high)).all(-1)
        density = -(self.high - self.low).log().sum()
        return torch.where(inside, density, torch.where(z.isnan().any(-1), torch.nan, -torch.inf))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        u = torch.rand(n, self.features, generator=generator, dtype=self.anchor.dtype, device=self.anchor.device)
        return self.low + (self.high - self.low) * u
