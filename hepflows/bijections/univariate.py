"""Maps of one number: the building blocks of couplings, autoregressive and elementwise bijections.

A `Univariate` is the map of a single feature, its raw parameters handed in: by a masked network in an autoregressive
bijection, by a network of the other features in a coupling, or learnt directly in an elementwise one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from hepflows.kernels.native import SplineShape


class Univariate(ABC):
    """An increasing map of one number with ``per_feature`` raw parameters."""

    per_feature: int

    @abstractmethod
    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` (..., D) and ``parameters`` (..., P, D) to ``z`` (..., D) and ``log dz/dx`` (..., D)."""

    @abstractmethod
    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """``z`` (..., D) and ``parameters`` (..., P, D) to ``x`` (..., D) and ``log dx/dz`` (..., D)."""

    @abstractmethod
    def identity(self) -> Tensor:
        """The raw parameters (P,) that make the map the identity."""

    def spline(self, *, inverse: bool) -> SplineShape | None:
        """What the compiled kernels need to know of this map, or None where they do not have it."""
        return None


class Shift(Univariate):
    """z = x + t: the map of NICE (arXiv:1410.8516), of unit Jacobian."""

    per_feature = 1

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return x + parameters[..., 0, :], torch.zeros_like(x)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return z - parameters[..., 0, :], torch.zeros_like(z)

    def identity(self) -> Tensor:
        return torch.zeros(1)


class Affine(Univariate):
    r"""z = x e^s + t with :math:`s = S \tanh(r / S)` (arXiv:1605.08803).

    Args:
        max_log_scale: ``S``; the scale stays within :math:`e^{\pm S}`, so that no step of the training can overflow.
    """

    per_feature = 2

    def __init__(self, max_log_scale: float = 5.0) -> None:
        self.max_log_scale = max_log_scale

    def _log_scale(self, raw: Tensor) -> Tensor:
        return self.max_log_scale * torch.tanh(raw / self.max_log_scale)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale = self._log_scale(parameters[..., 1, :])
        return x * log_scale.exp() + parameters[..., 0, :], log_scale

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        log_scale = self._log_scale(parameters[..., 1, :])
        return (z - parameters[..., 0, :]) * (-log_scale).exp(), -log_scale

    def identity(self) -> Tensor:
        return torch.zeros(2)
