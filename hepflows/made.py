"""The masked autoregressive network, its units in the order in which an inverse settles them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.errors import DomainError
from hepflows.kernels.masked_inverse import Staircase
from hepflows.nets import MLP, Activation, ColumnLinear, Conditioner, initialise


class MaskedLinear(ColumnLinear):
    """A linear layer some of whose weights are never used: unit ``o`` sees the first ``seen[o]`` inputs.

    Args:
        above: degrees of the units, ascending.
        below: degrees of the inputs, ascending; a unit sees the inputs of at most its own degree.
    """

    mask: Tensor

    def __init__(self, above: Tensor, below: Tensor) -> None:
        super().__init__(len(below), len(above))
        self.register_buffer("mask", (above[:, None] >= below[None, :]).to(self.weight.dtype), persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        return torch.addmm(self.bias.unsqueeze(1), self.mask * self.weight, h)


class MADE(Conditioner):
    r"""Masked autoregressive network (arXiv:1502.03509): the parameters of feature ``d`` see features ``0 .. d - 1`` only.

    A hidden unit of degree ``m`` sees the first ``m`` features; the outputs of feature ``d`` see the units of degree at
    most ``d``. The degrees are spread evenly over ``0 .. D - 1``, so that a network narrower than ``D`` still
    lets the last feature see nearly all others. The units of every layer stand in ascending order of degree: each mask is a staircase,
    and what a feature sees is a prefix of the layer.

    The context enters the first hidden layer and, as hidden units of degree zero beside the last one, the outputs: the first
    feature, which no other feature informs, depends on it freely too (in nflows it cannot).

    Args:
        features: number of features ``D``.
        per_feature: number of parameters ``P`` of each feature.
        hidden: widths of the hidden layers, at least one.
        context_features: width of the context, zero for none.
        context_hidden: hidden width of the two networks that bring the context in.
        activation: applied after every hidden layer; in a residual network before every layer of a block.
        residual: whether the layers after the first are taken in pairs, ``u + W_b act(W_a act(u))``.
        dropout: probability to drop a unit of a hidden layer after the first, in training.
        degrees: degrees of the units of each hidden layer, where the even spread is not wanted; ascending.
        generator: draws the initial weights.

    Shapes: ``x`` (N, D) and ``context`` (N, C) to outputs (N, D P); parameter ``p`` of feature ``d`` is column ``d P + p``.

    Example:
        >>> made = MADE(3, 2, hidden=(16, 16), generator=torch.Generator().manual_seed(0))
        >>> made(torch.zeros(5, 3)).shape
        torch.Size([5, 6])
    """

    def __init__(
        self,
        features: int,
        per_feature: int,
        hidden: Sequence[int] = (64, 64),
        *,
        context_features: int = 0,
        context_hidden: int = 64,
        activation: Activation = functional.relu,
        residual: bool = False,
        dropout: float = 0.0,
        degrees: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _check_layers(hidden, residual=residual)
        self.features, self.per_feature, self.context_features = features, per_feature, context_features
        self.activation, self.residual, self.dropout = activation, residual, dropout
        self.degrees = list(degrees) if degrees is not None else [spread_degrees(width, features) for width in hidden]
        # an input of rank d has degree d + 1; a unit sees what has at most its own degree, outputs of feature d have degree d
        ladder = [torch.arange(1, features + 1), *self.degrees]
        self.layers = nn.ModuleList(MaskedLinear(above, below) for below, above in pairwise(ladder))
        last = self.degrees[-1]
        if context_features:
            last = torch.cat([torch.zeros(context_hidden, dtype=torch.long), last])
        self.output = MaskedLinear(torch.arange(features).repeat_interleave(per_feature), last)
        self.register_buffer(
            "seen", torch.searchsorted(last, torch.arange(features), right=True, out_int32=True), persistent=False
        )
        for layer in (*self._hidden, self.output):
            initialise(layer, generator)
        self.context_terms = nn.ModuleDict()
        self.context_units: nn.Module | None = None
        if context_features:
            branch = partial(MLP, context_features, activation=activation, generator=generator)
            self.context_terms["0"] = branch(hidden[0], (context_hidden,))
            self.context_units = branch(context_hidden, ())

    @property
    def _hidden(self) -> list[MaskedLinear]:
        return cast("list[MaskedLinear]", list(self.layers))

    def terms(self, context: Tensor | None) -> list[Tensor | None]:
        """What the context adds to each hidden layer, ``(H_l, N)`` or nothing."""
        if context is None:
            return [None] * len(self.layers)
        return [
            self.context_terms[str(index)](context).T if str(index) in self.context_terms else None
            for index in range(len(self.layers))
        ]

    def units(self, context: Tensor | None) -> Tensor | None:
        """Hidden units of degree zero that the context alone sets, ``(U, N)``; they stand first in the last hidden layer."""
        if self.context_units is None or context is None:
            return None
        return self.activation(self.context_units(context).T)

    def last_hidden(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        terms = self.terms(context)

        def layer(index: int, h: Tensor) -> Tensor:
            h = self._hidden[index](h)
            term = terms[index]
            return h if term is None else h + term

        u = layer(0, x.T)
        if self.residual:
            for index in range(1, len(self.layers), 2):
                t = layer(index, self.activation(u))
                u = u + layer(index + 1, self._drop(self.activation(t)))
        else:
            u = self.activation(u)
            for index in range(1, len(self.layers)):
                u = self._drop(self.activation(layer(index, u)))
        units = self.units(context)
        return u if units is None else torch.cat([units, u])

    def _drop(self, h: Tensor) -> Tensor:
        return functional.dropout(h, self.dropout, self.training)

    def staircase(self) -> Staircase:
        """The weights for `hepflows.kernels.masked_inverse`, as they are."""
        bounds = torch.arange(self.features)
        return Staircase(
            weights=[layer.weight.detach() for layer in self._hidden],
            biases=[layer.bias.detach() for layer in self._hidden],
            seen=[torch.searchsorted(degree, bounds, right=True).tolist() for degree in self.degrees],
            output_weight=self.output.weight.detach(),
            output_bias=self.output.bias.detach(),
            activation=self.activation,
            residual=self.residual,
        )


def _check_layers(hidden: Sequence[int], *, residual: bool) -> None:
    if not hidden:
        message = "a MADE needs at least one hidden layer: pass hidden=(64, 64), say"
        raise DomainError(message)
    if residual and (len(hidden) % 2 == 0 or len(set(hidden)) > 1):
        message = (
            "a residual MADE needs an odd number of hidden layers of equal width, one and then pairs, "
            f"got hidden={tuple(hidden)}: pass hidden=(64, 64, 64), say"
        )
        raise DomainError(message)


def spread_degrees(units: int, features: int) -> Tensor:
    """Degrees of ``units`` hidden units, spread evenly over ``0 .. features - 1`` in ascending order.

    >>> spread_degrees(4, 8)
    tensor([0, 2, 4, 6])
    """
    return torch.arange(units) * features // units
