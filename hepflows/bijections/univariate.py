"""Maps of one number: the building blocks of couplings, autoregressive and elementwise bijections.

A `Univariate` is the map of a single feature, its raw parameters handed in: by a masked network in an autoregressive
bijection, by a network of the other features in a coupling, or learnt directly in an elementwise one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from hepflows.errors import DomainError
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


Scale = Literal["exp", "softplus", "sigmoid"]


class Affine(Univariate):
    r"""z = s x + t with a positive scale (arXiv:1605.08803), of raw parameters (t, r).

    .. math:: s = e^{S \tanh(r / S)}, \qquad s = m + \mathrm{softplus}(r) \qquad\text{or}\qquad s = m + \mathrm{sigmoid}(r + 2)

    Args:
        max_log_scale: ``S`` of ``"exp"``: the scale stays within :math:`e^{\pm S}`, so that no step of the training can overflow.
        scale: ``"exp"``, ``"softplus"`` (nflows' masked affine map) or ``"sigmoid"`` (its affine coupling).
        min_scale: ``m`` of the other two, the smallest scale.

    Raises:
        DomainError: an unknown ``scale``, or a ``max_log_scale`` or ``min_scale`` that is not positive.

    Example:
        >>> z, ladj = Affine(scale="softplus").forward(torch.tensor([2.0]), torch.tensor([[1.0], [0.0]]))
        >>> round(z.item(), 4), round(ladj.exp().item(), 4)
        (2.3883, 0.6941)
    """

    per_feature = 2

    def __init__(self, max_log_scale: float = 5.0, *, scale: Scale = "exp", min_scale: float = 1e-3) -> None:
        if scale not in get_args(Scale):
            message = f"scale must be one of {get_args(Scale)}, got {scale!r}"
            raise DomainError(message)
        if not max_log_scale > 0 or not 0 < min_scale < 1:
            message = (
                "an Affine needs max_log_scale > 0 and min_scale between 0 and 1, "
                f"got max_log_scale={max_log_scale}, min_scale={min_scale}"
            )
            raise DomainError(message)
        self.max_log_scale, self.scale, self.min_scale = max_log_scale, scale, min_scale

    def _scale_and_log(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        if self.scale == "exp":
            log_scale = self.max_log_scale * torch.tanh(raw / self.max_log_scale)
            return log_scale.exp(), log_scale
        scale = self.min_scale + (softplus(raw) if self.scale == "softplus" else torch.sigmoid(raw + 2))
        return scale, scale.log()

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        scale, log_scale = self._scale_and_log(parameters[..., 1, :])
        return x * scale + parameters[..., 0, :], log_scale

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        scale, log_scale = self._scale_and_log(parameters[..., 1, :])
        return (z - parameters[..., 0, :]) / scale, -log_scale

    def identity(self) -> Tensor:
        rest = 1 - self.min_scale
        raw = {"exp": 0.0, "softplus": math.log(math.expm1(rest)), "sigmoid": math.log(rest / self.min_scale) - 2}
        return torch.tensor([0.0, raw[self.scale]])


class Inverted(Univariate, nn.Module):
    r"""A map of one feature the other way round: :math:`z = g^{-1}(x; \theta)`, with the raw parameters of ``g``.

    In ``Inverse(MaskedAutoregressive(Inverted(g), made))`` the parameters see the latents, so that sampling takes one pass, and still
    describe ``g`` from data to latents, as those of ``MaskedAutoregressive(g, made)`` do; in `iaf` they describe the way back.

    Args:
        univariate: the map ``g``.

    Example:
        >>> parameters = torch.tensor([[1.0], [0.5]])
        >>> z, _ = Affine().forward(torch.tensor([2.0]), parameters)
        >>> x, _ = Inverted(Affine()).forward(z, parameters)
        >>> round(x.item(), 6)
        2.0
    """

    def __init__(self, univariate: Univariate) -> None:
        nn.Module.__init__(self)
        self.univariate = univariate
        self.per_feature = univariate.per_feature

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self.univariate.inverse(x, parameters)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self.univariate.forward(z, parameters)

    def identity(self) -> Tensor:
        return self.univariate.identity()

    def spline(self, *, inverse: bool) -> SplineShape | None:
        return self.univariate.spline(inverse=not inverse)
