"""A map of one feature under a network that parametrises it: the step that couplings and autoregressive bijections share."""

from __future__ import annotations

from torch import Tensor, nn

from hepflows.bijections.univariate import Univariate


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
    parameters = net(x, context).T.reshape(features, univariate.per_feature, n)
    mapped, ladj = (univariate.inverse if inverse else univariate.forward)(columns, parameters)
    return mapped, ladj.sum(0)
