"""Parameters with bounds, on a simplex or free, and the line that each of them becomes for a flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.errors import ConfigError, DomainError

Bound = tuple[float, float] | None
_EDGE = 1e-12  # of the width of a box: how close to its edge a parameter is taken to be where it lies on it
_SUM = 1e-4  # how far from one the fractions of a simplex may add up to: they come from files of single precision


class Parameters(nn.Module):
    r"""The space of the parameters, and its map to coordinates that run from minus to plus infinity.

    A bounded parameter becomes :math:`u = (\theta - a)/(b - a)` in the unit interval and :math:`y = \Phi^{-1}(u)` with the normal quantile
    function: what is uniform in its bounds is normal in ``y``, and whatever a flow draws in ``y`` lies within the bounds. The ``K``
    fractions of a simplex become ``K - 1`` such coordinates by breaking a stick,

    .. math:: v_k = f_k \big/ \big(1 - \textstyle\sum_{i<k} f_i\big), \qquad u_k = 1 - (1 - v_k)^{K-k}, \qquad k = 1 \dots K-1,

    which are uniform and independent where the fractions are uniform on the simplex, Dirichlet(1, ..., 1), so that the Jacobian is the
    constant :math:`(K-1)!`. Free parameters stay as they are.

    Args:
        count: number P of parameters.
        bounds: a pair ``(low, high)`` or None for each parameter; None for no bounds at all.
        simplex: columns of the parameters that are fractions of one whole; None for none. They need no bounds.

    Attributes:
        features: number of coordinates, P or P - 1.

    Example:
        >>> space = Parameters(4, [(-2, 3), None, None, None], simplex=[1, 2, 3])
        >>> theta = torch.tensor([[0.5, 0.2, 0.3, 0.5]], dtype=torch.float64)
        >>> y, ladj = space.forward(theta)
        >>> y.shape, torch.allclose(space.inverse(y), theta)
        (torch.Size([1, 3]), True)
    """

    low: Tensor
    width: Tensor

    def __init__(self, count: int, bounds: Sequence[Bound] | None = None, simplex: Sequence[int] | None = None) -> None:
        super().__init__()
        bounds = [None] * count if bounds is None else list(bounds)
        if len(bounds) != count:
            message = f"{count} parameters need a pair of bounds or None each, got {len(bounds)}"
            raise ConfigError(message)
        wrong = [bound for bound in bounds if bound is not None and not -math.inf < bound[0] < bound[1] < math.inf]
        if wrong:
            message = f"bounds must be finite with low < high, got {tuple(wrong[0])}"
            raise ConfigError(message)
        self.count, self.simplex = count, [] if simplex is None else [int(column) for column in simplex]
        if self.simplex and (
            len(self.simplex) < 2
            or len(set(self.simplex)) < len(self.simplex)
            or not all(0 <= column < count and bounds[column] is None for column in self.simplex)
        ):
            message = f"a simplex needs at least two columns between 0 and {count - 1}, each once and without bounds, got {self.simplex}"
            raise ConfigError(message)
        self.bounds = bounds
        self.free = [i for i in range(count) if bounds[i] is None and i not in self.simplex]
        self.boxed = [i for i in range(count) if bounds[i] is not None]
        self.features = count - bool(self.simplex)
        edges = torch.tensor([bounds[i] for i in self.boxed], dtype=torch.float64).reshape(-1, 2)
        self.register_buffer("low", edges[:, 0], persistent=False)
        self.register_buffer("width", edges[:, 1] - edges[:, 0], persistent=False)

    def forward(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """``(..., P)`` parameters in float64 to coordinates ``(..., features)`` and log |det J| ``(...)``.

        Outside of the bounds the log |det J| is minus infinity and the coordinates are those of the nearest edge.

        Raises:
            DomainError: fractions that do not add up to one.
        """
        boxed = (theta[..., self.boxed] - self.low) / self.width
        outside = ((boxed < 0) | (boxed > 1)).any(-1)
        cube, ladj = boxed, -self.width.log().sum().expand(theta.shape[:-1])
        if self.simplex:
            fractions = theta[..., self.simplex]
            outside = outside | (fractions < -_SUM).any(-1)
            cube = torch.cat([cube, self._sticks(fractions)], -1)
            ladj = ladj + math.lgamma(len(self.simplex))
        normal, slope = _quantile(cube)
        ladj = torch.where(outside, -torch.inf, ladj + slope.sum(-1))
        return torch.cat([theta[..., self.free], normal], -1), ladj

    def inverse(self, y: Tensor) -> Tensor:
        """Coordinates ``(..., features)`` in float64 to parameters ``(..., P)``, within the bounds."""
        theta = y.new_empty(*y.shape[:-1], self.count)
        theta[..., self.free] = y[..., : len(self.free)]
        cube = torch.special.ndtr(y[..., len(self.free) :])
        # rounding may pass the edge by a bit
        edge = torch.minimum(self.low + self.width * cube[..., : len(self.boxed)], self.low + self.width)
        theta[..., self.boxed] = edge
        if self.simplex:
            theta[..., self.simplex] = self._fractions(cube[..., len(self.boxed) :])
        return theta

    def description(self) -> dict[str, Any]:
        """What `Parameters` was made with, JSON-able."""
        return {"count": self.count, "bounds": self.bounds, "simplex": self.simplex or None}

    @classmethod
    def described(cls, description: dict[str, Any]) -> Parameters:
        """From a `description`."""
        bounds = [None if bound is None else (float(bound[0]), float(bound[1])) for bound in description["bounds"]]
        return cls(description["count"], bounds, description["simplex"])

    def _sticks(self, fractions: Tensor) -> Tensor:
        total = fractions.sum(-1)
        if bool(((total - 1).abs() > _SUM).any()):
            message = (
                f"the fractions in columns {self.simplex} must add up to 1, got {total.min():.6g} to {total.max():.6g}"
            )
            raise DomainError(message)
        fractions = fractions.clamp_min(0.0) / fractions.clamp_min(0.0).sum(-1, keepdim=True)
        rest = fractions.flip(-1).cumsum(-1).flip(-1)  # what is left before each break, exact for small remainders
        left = rest[..., 1:] / rest[..., :-1].clamp_min(1e-300)
        return 1 - left.clamp_max(1.0) ** self._powers(fractions)

    def _fractions(self, cube: Tensor) -> Tensor:
        left = (1 - cube) ** (1 / self._powers(cube))
        rest = torch.cat([torch.ones_like(left[..., :1]), left.cumprod(-1)], -1)
        fractions = torch.cat([rest[..., :-1] * (1 - left), rest[..., -1:]], -1)
        return fractions

    def _powers(self, like: Tensor) -> Tensor:
        return torch.arange(len(self.simplex) - 1, 0, -1, dtype=like.dtype, device=like.device)


def _quantile(u: Tensor) -> tuple[Tensor, Tensor]:
    """Normal quantile of values in the unit interval and the logarithm of its slope; the ends are moved inside."""
    y = torch.special.ndtri(u.clamp(_EDGE, 1 - _EDGE))
    return y, 0.5 * y.square() + 0.5 * math.log(2 * math.pi)
