"""A map of one feature under a network that parametrises it: the step that couplings and autoregressive bijections share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepflows.bijections.univariate import Univariate
from hepflows.kernels import native
from hepflows.kernels.native import SplineShape
from hepflows.nets import MLP, Conditioner


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
    features, n = columns.shape
    spline = univariate.spline(inverse=inverse)
    if spline is not None and isinstance(net, Conditioner) and native.covers(spline, columns, x, net.output.weight):
        return _fused(spline, columns, net, x, context)
    function = univariate.inverse if inverse else univariate.forward
    mapped, ladj = function(columns, net(x, context).T.reshape(features, univariate.per_feature, n))
    return mapped, ladj.sum(0)


def _fused(
    spline: SplineShape, columns: Tensor, net: Conditioner, x: Tensor, context: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The last layer, and the layers of an `MLP`, in one kernel with the spline."""
    weight, bias = net.output.weight, net.output.bias
    seen = torch.full((len(columns),), weight.shape[1], dtype=torch.int32) if net.seen is None else net.seen
    if isinstance(net, MLP) and native.layers_covered(len(net.hidden), net.activation):
        hidden = [tensor for layer in net.layers for tensor in (layer.weight, layer.bias)]
        return native.head(columns, net.inputs(x, context), weight, bias, seen, spline, hidden, net.activation)
    return native.head(columns, net.last_hidden(x, context), weight, bias, seen, spline)
