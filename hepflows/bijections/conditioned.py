"""A map of one feature under a network that parametrises it: the step that couplings and autoregressive bijections share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hepflows.bijections.univariate import Univariate
from hepflows.kernels import native
from hepflows.nets import Conditioner


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
    if spline is not None and isinstance(net, Conditioner):
        hidden, output = net.last_hidden(x, context), net.output
        if native.covers(spline, columns, hidden, output.weight):
            seen = torch.full((features,), len(hidden), dtype=torch.int32) if net.seen is None else net.seen
            return native.head(columns, hidden, output.weight, output.bias, seen, spline)
        parameters = output(hidden)
    else:
        parameters = net(x, context).T
    function = univariate.inverse if inverse else univariate.forward
    mapped, ladj = function(columns, parameters.reshape(features, univariate.per_feature, n))
    return mapped, ladj.sum(0)
