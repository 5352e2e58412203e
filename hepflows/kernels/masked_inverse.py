r"""The exact inverse of a masked autoregressive network at the cost of about one forward pass.

The textbook inverse of a MAF evaluates the whole network ``D`` times, although each pass settles one feature only. But a hidden unit of
degree ``m`` depends on the first ``m`` features alone: it can be computed once, when they are known, and kept. With the
units of every layer sorted by degree each mask becomes a prefix, and the inverse is one sweep over the features in which
every weight is used once. Features that see the same hidden units are independent of one another and are settled together,
so that the sweep takes as many steps as there are distinct degrees. No approximation is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

InverseUnivariate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""``(z (G, N), parameters (G, P, N)) -> (x (G, N), ladj (G, N))``: one row a feature, one column an event."""


@dataclass(frozen=True)
class PackedMADE:
    """The weights of a MADE, masked, with the units of each hidden layer sorted by degree.

    Attributes:
        weights: one ``(H_l, H_{l-1})`` matrix a hidden layer (``H_0 = D``), rows and columns sorted.
        biases: one ``(H_l, 1)`` column a hidden layer.
        output_weight: ``(D * P, H_L)``, columns sorted, rows so that the parameters of one feature stand together.
        output_bias: ``(D * P, 1)``.
        output_order: ``(D * P,)`` how those rows were sorted, for what the context adds to them.
        first_order: ``(H_1,)`` how the units of the first layer were sorted, for what the context adds to them.
        seen: for each hidden layer, how many of its units feature ``d`` may see, ``d = 0 .. D - 1``.
        activation: the activation after every hidden layer.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    output_weight: Tensor
    output_bias: Tensor
    output_order: Tensor
    first_order: Tensor
    seen: list[list[int]]
    activation: Callable[[Tensor], Tensor]

    @property
    def groups(self) -> list[tuple[int, int]]:
        """Ranges ``[start, stop)`` of features that see the same hidden units."""
        features = len(self.seen[0])
        starts = [d for d in range(features) if d == 0 or any(n[d] != n[d - 1] for n in self.seen)]
        return list(zip(starts, [*starts[1:], features], strict=True))


def pack(
    weights: list[Tensor],
    biases: list[Tensor],
    degrees: list[Tensor],
    features: int,
    activation: Callable[[Tensor], Tensor],
) -> PackedMADE:
    """Sort the units of a MADE by degree.

    Args:
        weights: masked weight matrices, hidden layers then output layer, each ``(out, in)``; row ``p D + d`` of the last
            one gives parameter ``p`` of feature ``d``.
        biases: their biases.
        degrees: degree of every unit of each hidden layer; a unit of degree ``m`` sees the first ``m`` features.
        features: number of features ``D``.
        activation: the activation after every hidden layer.
    """
    orders = [torch.argsort(degree, stable=True) for degree in degrees]
    columns: Tensor | slice = slice(None)
    sorted_weights = []
    for weight, order in zip(weights[:-1], orders, strict=True):
        sorted_weights.append(weight[order][:, columns].contiguous())
        columns = order
    bounds = torch.arange(features, device=weights[0].device)
    rows = torch.arange(len(biases[-1]), device=weights[0].device).view(-1, features).T.reshape(-1)
    return PackedMADE(
        weights=sorted_weights,
        biases=[bias[order].unsqueeze(1) for bias, order in zip(biases[:-1], orders, strict=True)],
        output_weight=weights[-1][rows][:, columns].contiguous(),
        output_bias=biases[-1][rows].unsqueeze(1),
        output_order=rows,
        first_order=orders[0],
        seen=[
            torch.searchsorted(degree[order].contiguous(), bounds, right=True).tolist()
            for degree, order in zip(degrees, orders, strict=True)
        ],
        activation=activation,
    )


def masked_inverse(
    z: Tensor,
    made: PackedMADE,
    univariate: InverseUnivariate,
    first: Tensor | None = None,
    output: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Solve ``z = f(x)`` for ``x``, feature by feature, with every hidden unit computed once.

    Args:
        z: ``(N, D)`` latents.
        made: the packed network.
        univariate: inverse of the map of one feature.
        first: ``(N, H_1)`` what the context adds to the first hidden layer, units in their original order.
        output: ``(N, P * D)`` what the context adds to the parameters, in their original order.

    Returns:
        ``x`` of shape ``(N, D)`` and the log |det J| of the inverse, ``(N,)``.
    """
    n, features = z.shape
    per_feature = made.output_weight.shape[0] // features
    # feature-major from here on: each step appends whole rows
    latent = z.T.contiguous()
    x = torch.empty_like(latent)
    ladj = torch.zeros_like(latent)
    biases = list(made.biases)
    if first is not None:
        biases[0] = biases[0] + first.T[made.first_order]
    output_bias = made.output_bias if output is None else made.output_bias + output.T[made.output_order]
    hidden = [latent.new_empty(weight.shape[0], n) for weight in made.weights]
    done = [0] * len(hidden)
    for start, stop in made.groups:
        below, known = x, start
        for layer, weight in enumerate(made.weights):
            new = slice(done[layer], made.seen[layer][start])
            if new.stop > new.start:
                values = torch.addmm(biases[layer][new].expand(-1, n), weight[new, :known], below[:known])
                hidden[layer][new] = made.activation(values)
                done[layer] = new.stop
            below, known = hidden[layer], new.stop
        rows = slice(start * per_feature, stop * per_feature)
        parameters = torch.addmm(output_bias[rows].expand(-1, n), made.output_weight[rows, :known], below[:known])
        parameters = parameters.view(stop - start, per_feature, n)
        x[start:stop], ladj[start:stop] = univariate(latent[start:stop], parameters)
    return x.T.contiguous(), ladj.sum(0)
