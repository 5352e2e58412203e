"""A map of one feature under a network that parametrises it: the step that couplings and autoregressive bijections share."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from hepflows.bijections.univariate import Univariate
from hepflows.kernels import native
from hepflows.kernels.native import Rows, SplineShape
from hepflows.nets import Conditioner, Dense


def conditioned(
    univariate: Univariate,
    columns: Tensor,
    net: nn.Module,
    x: Tensor,
    context: Tensor | None,
    *,
    inverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Map ``columns`` by ``univariate`` with the parameters ``net(x, context)``.

    Args:
        univariate: the map of one feature.
        columns: ``(D, N)`` what is mapped, events last.
        net: ``(x, context)`` to ``(N, D * P)`` raw parameters, those of one feature next to one another.
        x: ``(N, F)`` what the network sees.
        context: ``(N, C)`` or None.
        inverse: whether to invert the map.

    Returns:
        The mapped ``(D, N)`` and their log |det J|, ``(N,)``.
    """
    spline = univariate.spline(inverse=inverse)
    if spline is not None and isinstance(net, Conditioner) and native.covers(spline, columns, x, net.output.weight):
        return _fused(spline, columns, net, x, context)
    mapped, ladj = mapped_by(univariate, columns, net(x, context), inverse=inverse)
    return mapped, ladj.sum(0)


def mapped_by(univariate: Univariate, columns: Tensor, raw: Tensor, *, inverse: bool = False) -> tuple[Tensor, Tensor]:
    """Map ``columns`` (D, N) with raw parameters ``(N, D P)``, those of one feature next to one another; each log-derivative ``(D, N)``."""
    function = univariate.inverse if inverse else univariate.forward
    return function(columns, raw.T.reshape(len(columns), univariate.per_feature, columns.shape[1]))


def coupled(
    univariate: Univariate,
    columns: Tensor,
    mapped: Tensor,
    kept: Tensor,
    net: nn.Module,
    context: Tensor | None,
    *,
    inverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """Map the ``mapped`` rows of ``columns`` (D, N) as `conditioned` does, by what ``net`` makes of the ``kept`` ones, which stay.

    Returns:
        All rows ``(D, N)`` and the log |det J|, ``(N,)``.
    """
    spline = univariate.spline(inverse=inverse)
    whole = isinstance(net, Dense) and len(kept) > 0 and _layers_covered(net)
    if spline is not None and whole and native.covers(spline, columns, context, *net.parameters()):
        given = None if context is None else context.T
        return _fused_layers(spline, columns, given, cast("Dense", net), len(mapped), (mapped, kept))
    order = torch.cat([kept, mapped])
    passing, changing = torch.split(columns.index_select(0, order), [len(kept), len(mapped)])
    changed, ladj = conditioned(univariate, changing, net, passing.T, context, inverse=inverse)
    return torch.cat([passing, changed]).index_select(0, order.argsort()), ladj


def _fused(
    spline: SplineShape, columns: Tensor, net: Conditioner, x: Tensor, context: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The last layer, and the layers below it where they are `Dense`, in one kernel with the spline."""
    if isinstance(net, Dense) and _layers_covered(net):
        return _fused_layers(spline, columns, net.inputs(x, context), net, len(columns))
    seen = _all(net, len(columns)) if net.seen is None else net.seen
    return native.head(columns, net.last_hidden(x, context), net.output.weight, net.output.bias, seen, spline)


def _layers_covered(net: Dense) -> bool:
    drops = net.training and net.dropout > 0
    return not drops and native.layers_covered(len(net.layers), net.wiring.activation)


def _fused_layers(
    spline: SplineShape, columns: Tensor, inputs: Tensor | None, net: Dense, features: int, rows: Rows | None = None
) -> tuple[Tensor, Tensor]:
    hidden = [tensor for layer in net.layers for tensor in (layer.weight, layer.bias)]
    weights = net.output.weight, net.output.bias, _all(net, features)
    return native.head(columns, inputs, *weights, spline, hidden, net.wiring, rows)


def _all(net: Conditioner, features: int) -> Tensor:
    """How many hidden units each feature sees, where that is all of them."""
    return torch.full((features,), net.output.weight.shape[1], dtype=torch.int32)
