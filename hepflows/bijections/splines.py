"""Monotonic splines as maps of one feature, for couplings, autoregressive and elementwise bijections.

The formulas stand in `hepflows.kernels.splines`. Every spline acts on the box ``[-bound, bound]`` (or ``[low, high]``) and
is the identity outside.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.bijections.univariate import Univariate
from hepflows.errors import DomainError
from hepflows.kernels import native
from hepflows.kernels.native import SplineShape
from hepflows.kernels.splines import edge_derivative, linear_spline, quadratic_spline, rational_quadratic_spline


class _Spline(Univariate):
    """Bins and box, common to the three."""

    def __init__(self, bins: int, bound: float, box: tuple[float, float] | None, minimum: float) -> None:
        self.low, self.high = (-bound, bound) if box is None else box
        if bins < 2 or not self.low < self.high or not 0 < minimum * bins < 1:
            message = (
                f"a spline needs at least 2 bins, low < high and a minimum size in (0, 1/bins), "
                f"got bins={bins}, box=({self.low}, {self.high}), minimum={minimum}"
            )
            raise DomainError(message)
        self.bins, self.minimum = bins, minimum

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self._apply(x, parameters, inverse=False)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self._apply(z, parameters, inverse=True)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class LinearSpline(_Spline):
    """Piecewise linear, ``K`` raw heights (arXiv:1808.03856).

    Args:
        bins: number of bins ``K``, all of equal width.
        bound: the box is ``[-bound, bound]``.
        box: ``(low, high)`` instead of ``bound``.
        minimum: smallest height of a bin, in units of the box.
    """

    def __init__(
        self, bins: int = 8, bound: float = 3.0, *, box: tuple[float, float] | None = None, minimum: float = 1e-3
    ) -> None:
        super().__init__(bins, bound, box, minimum)
        self.per_feature = bins

    def identity(self) -> Tensor:
        return torch.zeros(self.per_feature)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        return linear_spline(x, parameters, low=self.low, high=self.high, min_height=self.minimum, inverse=inverse)


class _SmoothSpline(_Spline):
    """Bin sizes and derivatives at the knots; both edges have slope one unless they are free."""

    size_vectors: int
    """How many vectors of bin sizes stand before the derivatives."""

    def __init__(
        self,
        bins: int = 8,
        bound: float = 3.0,
        *,
        box: tuple[float, float] | None = None,
        free_edges: bool = False,
        minimum: float = 1e-3,
    ) -> None:
        super().__init__(bins, bound, box, minimum)
        self.per_feature = (self.size_vectors + 1) * bins + (1 if free_edges else -1)

    def _split(self, parameters: Tensor) -> tuple[Tensor, ...]:
        """The vectors of bin sizes, then the derivatives."""
        sizes = self.size_vectors * [self.bins]
        return torch.split(parameters, [*sizes, self.per_feature - sum(sizes)], -2)


class QuadraticSpline(_SmoothSpline):
    """Piecewise quadratic: ``K`` raw widths and ``K - 1`` raw inner derivatives, or ``K + 1`` (arXiv:1808.03856).

    Args:
        bins: number of bins ``K``.
        bound: the box is ``[-bound, bound]``.
        box: ``(low, high)`` instead of ``bound``.
        free_edges: derivatives at the edges are free; otherwise one, and the map is smooth across the edge.
        minimum: smallest width of a bin, in units of the box, and smallest derivative.
    """

    size_vectors = 1

    def identity(self) -> Tensor:
        return torch.zeros(self.per_feature)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        widths, slopes = self._split(parameters)
        return quadratic_spline(
            x,
            widths,
            slopes,
            low=self.low,
            high=self.high,
            min_width=self.minimum,
            min_slope=self.minimum,
            inverse=inverse,
        )


class RationalQuadraticSpline(_SmoothSpline):
    """Rational-quadratic: ``K`` raw widths, ``K`` raw heights, ``K - 1`` raw inner derivatives, or ``K + 1`` (arXiv:1906.04032).

    Args:
        bins: number of bins ``K``.
        bound: the box is ``[-bound, bound]``.
        box: ``(low, high)`` instead of ``bound``.
        free_edges: derivatives at the edges are free; otherwise one, and the map is smooth across the edge.
        minimum: smallest width and height of a bin, in units of the box, and smallest derivative.
    """

    size_vectors = 2

    def identity(self) -> Tensor:
        raw = torch.zeros(self.per_feature)
        raw[2 * self.bins :] = edge_derivative(self.minimum)
        return raw

    def spline(self, *, inverse: bool) -> SplineShape:
        minima = (self.minimum, self.minimum, self.minimum)
        free_edges = self.per_feature > 3 * self.bins
        return SplineShape(self.bins, self.low, self.high, *minima, free_edges=free_edges, inverse=inverse)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        shape = self.spline(inverse=inverse)
        if x.ndim == 2 and native.covers(shape, x, parameters):
            return native.spline(x, parameters, shape)
        widths, heights, derivatives = self._split(parameters)
        return rational_quadratic_spline(
            x,
            widths,
            heights,
            derivatives,
            low=self.low,
            high=self.high,
            min_width=self.minimum,
            min_height=self.minimum,
            min_derivative=self.minimum,
            inverse=inverse,
        )
