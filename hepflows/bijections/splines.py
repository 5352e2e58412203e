"""Monotonic splines as maps of one feature, for couplings, autoregressive and elementwise bijections.

The formulas stand in `hepflows.kernels.splines`. Every spline acts on the box ``[-bound, bound]`` (or ``[low, high]``);
outside it is the identity, or an error where the data must not leave the box.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from hepflows.bijections.univariate import Univariate
from hepflows.errors import DomainError
from hepflows.kernels import native
from hepflows.kernels.native import SplineShape
from hepflows.kernels.splines import edge_derivative, linear_spline, quadratic_spline

Outside = Literal["identity", "error"]


class _Spline(Univariate):
    """Bins and box, common to the three.

    Attributes:
        low: lower edge of the box.
        high: upper edge of the box.
        bins: number of bins ``K``.
        outside: what happens outside the box.
    """

    def __init__(self, bins: int, bound: float, box: tuple[float, float] | None, outside: Outside) -> None:
        self.low, self.high = (-bound, bound) if box is None else box
        if bins < 2 or not self.low < self.high:
            message = (
                f"a spline needs at least 2 bins and low < high, got bins={bins} and the box ({self.low}, {self.high})"
            )
            raise DomainError(message)
        if outside not in get_args(Outside):
            message = f"outside must be one of {get_args(Outside)}, got {outside!r}"
            raise DomainError(message)
        self.bins, self.outside = bins, outside

    def _check_sizes(self, **minima: float) -> None:
        """Raise `DomainError` where bins of at least these sizes do not fit into the box."""
        for name, minimum in minima.items():
            if not 0 <= minimum * self.bins < 1:
                message = f"{name} must be between 0 and 1/bins = {1 / self.bins:.3g}, got {minimum}"
                raise DomainError(message)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self._checked(x, parameters, inverse=False)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return self._checked(z, parameters, inverse=True)

    def _checked(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        if self.outside == "identity" or torch.compiler.is_compiling():
            return self._apply(x, parameters, inverse=inverse)
        self._check_inside(x)
        y, ladj = self._apply(x, parameters, inverse=inverse)
        # rounding may lift a value over the edge, where the way back would refuse it; the gradient is left as it is
        return y + (y.clamp(self.low, self.high) - y).detach(), ladj

    def _check_inside(self, x: Tensor) -> None:
        """Raise `DomainError` on a value outside the box, where the box is all there is; a NaN is let through."""
        if bool(((x < self.low) | (x > self.high)).any()):
            message = (
                f"this spline takes values in [{self.low:g}, {self.high:g}] only, got {x.min():.6g} to {x.max():.6g}: "
                "rescale the data or build it with outside='identity'"
            )
            raise DomainError(message)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        raise NotImplementedError


class LinearSpline(_Spline):
    """Piecewise linear, ``K`` raw heights (arXiv:1808.03856).

    Args:
        bins: number of bins ``K``, all of equal width.
        bound: the box is ``[-bound, bound]``.
        box: ``(low, high)`` instead of ``bound``.
        minimum: smallest height of a bin, in units of the box; nflows has none, which is 0.
        outside: ``"identity"``, or ``"error"``: a value outside the box raises a `DomainError`.

    Raises:
        DomainError: these numbers make no spline, or a value lies outside the box and may not.

    Example:
        >>> spline = LinearSpline(bins=4, box=(0.0, 1.0), outside="error")
        >>> x = torch.tensor([0.1, 0.9])
        >>> y, ladj = spline.forward(x, torch.zeros(spline.per_feature, 2))  # all bins alike: the identity
        >>> bool(torch.allclose(y, x))
        True
    """

    def __init__(
        self,
        bins: int = 8,
        bound: float = 3.0,
        *,
        box: tuple[float, float] | None = None,
        minimum: float = 1e-3,
        outside: Outside = "identity",
    ) -> None:
        super().__init__(bins, bound, box, outside)
        self._check_sizes(minimum=minimum)
        self.min_height = minimum
        self.per_feature = bins

    def identity(self) -> Tensor:
        return torch.zeros(self.per_feature)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        return linear_spline(x, parameters, low=self.low, high=self.high, min_height=self.min_height, inverse=inverse)


class QuadraticSpline(_Spline):
    """Piecewise quadratic: ``K`` raw widths and ``K - 1`` raw inner slopes, or ``K + 1`` (arXiv:1808.03856).

    Args:
        bins: number of bins ``K``.
        bound: the box is ``[-bound, bound]``.
        box: ``(low, high)`` instead of ``bound``.
        free_edges: slopes at the edges are free; otherwise one, and the map is smooth across the edge.
        minimum: of what is not given below.
        min_width: smallest width of a bin, in units of the box.
        min_slope: smallest slope at a knot.
        edge_weight: 0.25 for the fixed edges of nflows, whose slope is not quite one; see `hepflows.kernels.splines.quadratic_spline`.
        outside: ``"identity"``, or ``"error"``: a value outside the box raises a `DomainError`.

    Raises:
        DomainError: these numbers make no spline, or a value lies outside the box and may not.

    Example:
        >>> spline = QuadraticSpline(bins=4, bound=2.0)
        >>> x = torch.tensor([-1.5, 0.1, 5.0])
        >>> y, ladj = spline.forward(x, torch.zeros(spline.per_feature, 3))  # all bins alike: the identity
        >>> bool(torch.allclose(y, x))
        True
    """

    def __init__(
        self,
        bins: int = 8,
        bound: float = 3.0,
        *,
        box: tuple[float, float] | None = None,
        free_edges: bool = False,
        minimum: float = 1e-3,
        min_width: float | None = None,
        min_slope: float | None = None,
        edge_weight: float = 0.5,
        outside: Outside = "identity",
    ) -> None:
        super().__init__(bins, bound, box, outside)
        self.min_width, self.min_slope = (minimum if given is None else given for given in (min_width, min_slope))
        self._check_sizes(min_width=self.min_width)
        if not 0 <= self.min_slope < 1:
            message = f"min_slope must be between 0 and 1, got {self.min_slope}"
            raise DomainError(message)
        self.edge_weight = edge_weight
        self.per_feature = 2 * bins + (1 if free_edges else -1)

    def identity(self) -> Tensor:
        return torch.zeros(self.per_feature)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        widths, slopes = torch.split(parameters, [self.bins, self.per_feature - self.bins], -2)
        return quadratic_spline(
            x,
            widths,
            slopes,
            low=self.low,
            high=self.high,
            min_width=self.min_width,
            min_slope=self.min_slope,
            edge_weight=self.edge_weight,
            inverse=inverse,
        )


class RationalQuadraticSpline(_Spline):
    """Rational-quadratic: ``K`` raw widths, ``K`` raw heights, ``K - 1`` raw inner derivatives, or ``K + 1`` (arXiv:1906.04032).

    Args:
        bins: number of bins ``K``.
        bound: the box is ``[-bound, bound]``.
        box: ``(low, high)`` instead of ``bound``.
        free_edges: derivatives at the edges are free; otherwise one, and the map is smooth across the edge.
        minimum: of what is not given below.
        min_width: smallest width of a bin, in units of the box.
        min_height: smallest height of a bin, in units of the box.
        min_derivative: smallest derivative at a knot.
        outside: ``"identity"``, or ``"error"``: a value outside the box raises a `DomainError`.

    Raises:
        DomainError: these numbers make no spline, or a value lies outside the box and may not.

    Example:
        >>> spline = RationalQuadraticSpline(bins=4, bound=2.0, min_derivative=1e-4)
        >>> x = torch.tensor([-1.5, 0.1, 5.0])
        >>> y, ladj = spline.forward(x, spline.identity()[:, None].expand(-1, 3))
        >>> bool(torch.allclose(y, x))
        True
    """

    def __init__(
        self,
        bins: int = 8,
        bound: float = 3.0,
        *,
        box: tuple[float, float] | None = None,
        free_edges: bool = False,
        minimum: float = 1e-3,
        min_width: float | None = None,
        min_height: float | None = None,
        min_derivative: float | None = None,
        outside: Outside = "identity",
    ) -> None:
        super().__init__(bins, bound, box, outside)
        self.min_width, self.min_height, self.min_derivative = (
            minimum if given is None else given for given in (min_width, min_height, min_derivative)
        )
        self._check_sizes(min_width=self.min_width, min_height=self.min_height)
        if not 0 <= self.min_derivative < 1:
            message = f"min_derivative must be between 0 and 1, got {self.min_derivative}"
            raise DomainError(message)
        self.per_feature = 3 * bins + (1 if free_edges else -1)

    def identity(self) -> Tensor:
        raw = torch.zeros(self.per_feature)
        raw[2 * self.bins :] = edge_derivative(self.min_derivative)
        return raw

    def spline(self, *, inverse: bool) -> SplineShape | None:
        return self._shape(inverse=inverse) if self.outside == "identity" else None  # the kernels refuse nothing

    def _shape(self, *, inverse: bool) -> SplineShape:
        minima = (self.min_width, self.min_height, self.min_derivative)
        free_edges = self.per_feature > 3 * self.bins
        return SplineShape(self.bins, self.low, self.high, *minima, free_edges=free_edges, inverse=inverse)

    def _apply(self, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        shape = self._shape(inverse=inverse)
        if x.ndim == 2 and native.covers(shape, x, parameters):
            return native.spline(x, parameters, shape)
        return shape.reference(x, parameters)
