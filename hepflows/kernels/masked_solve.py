r"""Gradients through the inverse of a masked autoregressive map, at the cost of about one backward pass.

With :math:`z = f(x)`, the gradient of a loss with respect to ``z`` is the solution ``g`` of :math:`J^\top g = v`, where ``J`` is the
lower triangular Jacobian of ``f`` and ``v`` the gradient with respect to ``x``. Feature ``d`` of it reads

.. math:: g_d = \Big(v_d - \sum_{e > d} g_e \frac{\partial z_e}{\partial \theta_e} \frac{\partial \theta_e}{\partial x_d}\Big)
          \Big/ \frac{\partial z_d}{\partial x_d}

and the sum is what back-propagation through the network hands to ``x_d`` once all later features are known. The sweep of
`hepflows.kernels.masked_inverse` run backwards therefore uses every weight once: features from the last to the first, a hidden unit when
every feature that sees it is done.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hepflows.kernels.masked_inverse import Staircase


def masked_solve(
    made: Staircase,
    v: Tensor,
    slope: Tensor,
    weights: Tensor,
    offset: Tensor | None,
    bends: Sequence[Tensor | None],
) -> tuple[Tensor, Tensor]:
    """Solve ``slope * g = v - (what a gradient c = g * weights + offset at the outputs of the network hands to x)``.

    Args:
        made: the network.
        v: ``(D, N)`` right-hand side, events last.
        slope: ``(D, N)`` derivative of each latent with respect to its own feature.
        weights: ``(D, P, N)`` derivative of each latent with respect to its parameters.
        offset: ``(D, P, N)`` gradient that reaches the outputs by another way, or None.
        bends: for each hidden layer the derivative of the activation that follows it, ``(H_l, N)``; None where none follows.

    Returns:
        ``g`` ``(D, N)`` and ``c`` ``(D, P, N)``.
    """
    per_feature, n = weights.shape[1:]
    sweep = _BackwardSweep(made, v)
    g, c = v.new_empty(v.shape), v.new_empty(weights.shape)
    groups = made.groups
    for index in reversed(range(len(groups))):
        start, stop = groups[index]
        group = slice(start, stop)
        g[group] = (v[group] - sweep.reaching(group)) / slope[group]
        torch.mul(weights[group], g[group].unsqueeze(1), out=c[group])
        if offset is not None:
            c[group] += offset[group]
        if index:  # the units of the first group see no feature
            rows = slice(start * per_feature, stop * per_feature)
            sweep.push(rows, c[group].view(-1, n), start, groups[index - 1][0], bends)
    return g, c


class _BackwardSweep:
    """Gradients of the hidden units that are complete so far."""

    def __init__(self, made: Staircase, v: Tensor) -> None:
        n = v.shape[1]
        self.made = made
        self.units = made.output_weight.shape[1] - len(made.biases[-1])  # those that the context sets take no part
        self.last = v.new_zeros(
            len(made.biases[-1]), n
        )  # of the last hidden layer as the outputs see it: sums under way
        self.before = [v.new_empty(len(bias), n) for bias in made.biases]  # of each layer before its activation

    def reaching(self, group: slice) -> Tensor:
        """What the hidden units hand to the features of a group."""
        seen_later = self.made.seen[0][group.start]
        return self.made.weights[0][seen_later:, group].T @ self.before[0][seen_later:]

    def push(self, rows: slice, c: Tensor, start: int, earlier: int, bends: Sequence[Tensor | None]) -> None:
        """Take in the output rows of the group that begins at ``start``, and finish the units that it is the first to see."""
        made, layers = self.made, len(self.made.weights)
        known = made.seen[-1][start]
        self.last[:known].addmm_(made.output_weight[rows, self.units : self.units + known].T, c)
        for layer in reversed(range(layers)):
            new = slice(made.seen[layer][earlier], made.seen[layer][start])
            if new.start == new.stop:
                continue
            if layer == layers - 1:
                gradient = self.last[new]
            else:
                above = made.seen[layer + 1][earlier]
                gradient = made.weights[layer + 1][above:, new].T @ self.before[layer + 1][above:]
            bend = bends[layer]
            if bend is not None:
                gradient = gradient * bend[new]
            if made.residual and layer % 2 == 0 and layer < layers - 1:
                gradient = gradient + self.before[layer + 2][new]
            self.before[layer][new] = gradient
