"""nflows' maps of one feature as ours: the same numbers from the same outputs of a network.

Part of `hepflows.nflows_adapter`; nothing here imports nflows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hepflows.bijections import Affine, LinearSpline, QuadraticSpline, RationalQuadraticSpline, Shift, Univariate
from hepflows.nflows_networks import unknown


@dataclass(frozen=True)
class Map:
    """A map of one feature and how the outputs of an nflows network become its raw parameters.

    Attributes:
        univariate: the map.
        order: for a number of features, where each raw parameter stands among those outputs, (features * P,).
        scaled: how many of the parameters nflows divides by the root of the hidden width, where the network tells it.
    """

    univariate: Univariate
    order: Callable[[int], Tensor] | None = None
    scaled: int = 0

    def rows(self, features: int, net: object) -> tuple[Tensor, Tensor]:
        """The place of each raw parameter among the outputs, and what it is multiplied by."""
        scale = torch.ones(self.univariate.per_feature, dtype=torch.float64)
        scale[: self.scaled] = getattr(net, "hidden_features", 1) ** -0.5
        count = features * self.univariate.per_feature
        return torch.arange(count) if self.order is None else self.order(features), scale.repeat(features)


def _box(transform: Any) -> dict[str, Any]:
    tails = getattr(transform, "tails", None)
    if tails not in (None, "linear"):
        raise unknown(transform, f"there is no spline with tails={tails!r}")
    return {"bound": transform.tail_bound} if tails else {"box": (0.0, 1.0), "outside": "error"}


def linear_map(transform: Any, bins: int) -> Map:
    """The bins of nflows have no minimum height."""
    return Map(LinearSpline(bins, minimum=0.0, **_box(transform)))


def quadratic_map(transform: Any, bins: int) -> Map:
    """In a coupling all outputs are scaled, in an autoregressive transform the widths."""
    spline = QuadraticSpline(
        bins,
        free_edges=transform.tails is None,
        min_width=transform.min_bin_width,
        min_slope=transform.min_bin_height,
        edge_weight=0.25,
        **_box(transform),
    )
    return Map(spline, scaled=spline.per_feature if hasattr(transform, "transform_net") else bins)


def rational_map(transform: Any, bins: int) -> Map:
    """Widths and heights are scaled, derivatives are not."""
    spline = RationalQuadraticSpline(
        bins,
        free_edges=transform.tails is None,
        min_width=transform.min_bin_width,
        min_height=transform.min_bin_height,
        min_derivative=transform.min_derivative,
        **_box(transform),
    )
    return Map(spline, scaled=2 * bins)


def masked_affine_map(transform: Any, _: int) -> Map:
    """There, a pair (scale, shift) a feature; here, (shift, scale)."""
    return Map(
        Affine(scale="softplus", min_scale=transform._epsilon),
        lambda n: torch.arange(2 * n).view(n, 2).flip(1).flatten(),
    )


def coupling_affine_map(transform: Any, _: int) -> Map:
    """There, all shifts stand before all scales."""
    activation = getattr(transform, "scale_activation", None)  # an option of nflows after 0.14
    probe = torch.linspace(-9, 9, 7)
    if activation is not None and not torch.allclose(activation(probe), torch.sigmoid(probe + 2) + 1e-3):
        raise unknown(transform, "its scale_activation is not sigmoid(u + 2) + 0.001")
    return Map(Affine(scale="sigmoid"), lambda n: torch.arange(2 * n).view(2, n).T.flatten())


def shift_map(transform: Any, _: int) -> Map:
    """The map of NICE."""
    return Map(Shift())
