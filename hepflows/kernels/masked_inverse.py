r"""The exact inverse of a masked autoregressive network at the cost of about one forward pass.

The textbook inverse of a MAF evaluates the whole network ``D`` times, although each pass settles one feature only. But a hidden unit of
degree ``m`` depends on the first ``m`` features alone: it can be computed once, when they are known, and kept. With the
units of every layer in ascending order of degree each mask is a staircase, and the inverse is one sweep over the features in which
every weight is used once. Features that see the same hidden units are independent of one another and are settled together,
so that the sweep takes as many steps as there are distinct degrees. No approximation is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

InverseUnivariate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""``(z (G, N), parameters (G, P, N)) -> (x (G, N), ladj (G, N))``: one row a feature, one column an event."""


@dataclass(frozen=True)
class Staircase:
    """The weights of a MADE whose units stand in ascending order of degree; only what the masks allow is read.

    Attributes:
        weights: one ``(H_l, H_{l-1})`` matrix a hidden layer, ``H_0 = D``.
        biases: one ``(H_l,)`` vector a hidden layer.
        seen: for each hidden layer, how many of its units have a degree of at most ``d``, ``d = 0 .. D - 1``.
        output_weight: ``(D * P, U + H_L)``; the rows of one feature stand together; the first ``U`` columns belong to units that the
            context alone sets.
        output_bias: ``(D * P,)``.
        activation: the activation after every hidden layer, or before every layer of a residual block.
        residual: whether the layers after the first come in pairs with a skip.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    seen: list[list[int]]
    output_weight: Tensor
    output_bias: Tensor
    activation: Callable[[Tensor], Tensor]
    residual: bool

    @property
    def groups(self) -> list[tuple[int, int]]:
        """Ranges ``[start, stop)`` of features that see the same hidden units."""
        features = len(self.seen[0])
        starts = [d for d in range(features) if d == 0 or any(n[d] != n[d - 1] for n in self.seen)]
        return list(zip(starts, [*starts[1:], features], strict=True))


def masked_inverse(
    z: Tensor,
    made: Staircase,
    univariate: InverseUnivariate,
    terms: Sequence[Tensor | None],
    units: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Solve ``z = f(x)`` for ``x``, feature by feature, with every hidden unit computed once.

    Args:
        z: ``(D, N)`` latents, events last.
        made: the network.
        univariate: inverse of the map of one feature.
        terms: for each hidden layer, what the context adds to it, ``(H_l, N)``, or None.
        units: ``(U, N)`` last hidden units that the context alone sets.

    Returns:
        ``x`` of shape ``(D, N)`` and the log |det J| of the inverse, ``(N,)``.
    """
    z = z.contiguous()
    features, n = z.shape
    per_feature = len(made.output_bias) // features
    sweep = _Sweep(z, made, terms, units)
    ladj = torch.zeros_like(z)
    for start, stop in made.groups:
        last, known = sweep.settle(start)
        rows = slice(start * per_feature, stop * per_feature)
        bias = made.output_bias[rows].unsqueeze(1)
        parameters = torch.addmm(bias, made.output_weight[rows, :known], last[:known])
        x, terms_of_ladj = univariate(z[start:stop], parameters.view(stop - start, per_feature, n))
        sweep.x[start:stop], ladj[start:stop] = x, terms_of_ladj
    return sweep.x, ladj.sum(0)


class _Sweep:
    """The hidden units known so far."""

    def __init__(self, z: Tensor, made: Staircase, terms: Sequence[Tensor | None], units: Tensor | None) -> None:
        n = z.shape[1]
        self.made, self.terms = made, terms
        self.x = torch.empty_like(z)
        # what each layer reads: the features, then activated units; a residual network's skips need them as they were, too
        self.inputs = [self.x, *(z.new_empty(len(bias), n) for bias in made.biases)]
        self.plain = [torch.empty_like(below) for below in self.inputs[1:]] if made.residual else []
        self.offset = 0 if units is None else len(units)
        if units is not None:
            self.inputs[-1] = torch.cat([units, self.inputs[-1]])
        self.done = [0] * len(made.weights)

    def settle(self, start: int) -> tuple[Tensor, int]:
        """Compute the units that feature ``start`` is the first to see; returns the last layer and how much of it is known."""
        known, layers = start, len(self.made.weights)
        for layer in range(layers):
            new = slice(self.done[layer], self.made.seen[layer][start])
            last = layer == layers - 1
            if new.stop > new.start:
                values = self._linear(layer, new, known)
                if self.made.residual:
                    if layer and layer % 2 == 0:
                        values = values + self.plain[layer - 2][new]
                    self.plain[layer][new] = values
                shift = self.offset if last else 0
                keep = last and self.made.residual
                target = slice(new.start + shift, new.stop + shift)
                self.inputs[layer + 1][target] = values if keep else self.made.activation(values)
                self.done[layer] = new.stop
            known = new.stop
        return self.inputs[-1], self.offset + known

    def _linear(self, layer: int, new: slice, known: int) -> Tensor:
        bias = self.made.biases[layer][new].unsqueeze(1)
        values = torch.addmm(bias, self.made.weights[layer][new, :known], self.inputs[layer][:known])
        term = self.terms[layer]
        return values if term is None else values + term[new]
