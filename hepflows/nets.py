"""The networks that condition a bijection: a plain one and a masked autoregressive one.

Every network takes ``(x, context)``, so that one can stand in for another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.errors import DomainError
from hepflows.kernels.masked_inverse import PackedMADE, pack

Activation = Callable[[Tensor], Tensor]


class Linear(nn.Linear):
    """A linear layer that is left for `initialise` to fill: torch's own would draw from its global state."""

    def reset_parameters(self) -> None:
        """Draw nothing."""


def initialise(layer: nn.Linear, generator: torch.Generator | None, scale: float = 1.0) -> None:
    """Uniform weights and biases in +-scale/sqrt(fan_in), drawn from ``generator``."""
    bound = scale / max(1, layer.in_features) ** 0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)


class MLP(nn.Module):
    """Fully connected network of ``(x, context)``, the two concatenated.

    Args:
        features: width of ``x``; zero for a network of the context alone.
        outputs: number of outputs.
        hidden: widths of the hidden layers.
        context_features: width of the context.
        activation: applied after every hidden layer.
        generator: draws the initial weights.

    Example:
        >>> net = MLP(3, 2, hidden=(16,), context_features=1, generator=torch.Generator().manual_seed(0))
        >>> net(torch.zeros(5, 3), torch.zeros(5, 1)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        hidden: Sequence[int] = (64, 64),
        *,
        context_features: int = 0,
        activation: Activation = functional.relu,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        widths = [features + context_features, *hidden, outputs]
        layers = [Linear(i, o) for i, o in pairwise(widths)]
        self.hidden, self.last = nn.ModuleList(layers[:-1]), layers[-1]
        self.activation = activation
        for layer in layers:
            initialise(layer, generator)

    def start_at(self, outputs: Tensor, scale: float = 0.1) -> None:
        """Make the outputs start near ``outputs``, whatever the input."""
        with torch.no_grad():
            self.last.weight.mul_(scale)
            self.last.bias.copy_(outputs)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if context is not None:
            x = torch.cat([x, context], -1)
        for layer in self.hidden:
            x = self.activation(layer(x))
        outputs: Tensor = self.last(x)
        return outputs


class MaskedLinear(Linear):
    """A linear layer some of whose weights are always zero."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.mask * self.weight, self.bias)


class MADE(nn.Module):
    r"""Masked autoregressive network (arXiv:1502.03509): the parameters of feature ``d`` see features ``0 .. d - 1`` only.

    A hidden unit of degree ``m`` sees the first ``m`` features; the outputs of feature ``d`` see the units of degree at
    most ``d``. The degrees are spread evenly over ``0 .. D - 1``, so that a network narrower than ``D`` still
    lets the last feature see nearly all others. The context enters the first hidden layer and, by a network of its own,
    the outputs: the first feature, which no other feature informs, depends on it freely too (in nflows it cannot).

    Args:
        features: number of features ``D``.
        per_feature: number of parameters ``P`` of each feature.
        hidden: widths of the hidden layers, at least one.
        context_features: width of the context, zero for none.
        context_hidden: hidden width of the two networks that bring the context in.
        activation: applied after every hidden layer.
        dropout: probability to drop a unit of a hidden layer after the first, in training.
        degrees: degrees of the units of each hidden layer, where the even spread is not wanted.
        generator: draws the initial weights.

    Shapes: ``x`` (N, D) and ``context`` (N, C) to parameters (N, P, D).

    Example:
        >>> made = MADE(3, 2, hidden=(16, 16), generator=torch.Generator().manual_seed(0))
        >>> made(torch.zeros(5, 3)).shape
        torch.Size([5, 2, 3])
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
        dropout: float = 0.0,
        degrees: Sequence[Tensor] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not hidden:
            message = "a MADE needs at least one hidden layer: pass hidden=(64, 64), say"
            raise DomainError(message)
        self.features, self.per_feature, self.context_features = features, per_feature, context_features
        self.activation, self.dropout = activation, dropout
        self.degrees = list(degrees) if degrees is not None else [spread_degrees(width, features) for width in hidden]
        # an input of rank d has degree d + 1; a unit sees what has at most its own degree, outputs of feature d have degree d
        ladder = [torch.arange(1, features + 1), *self.degrees, torch.arange(features).repeat(per_feature)]
        self.layers = nn.ModuleList(MaskedLinear(above[:, None] >= below[None, :]) for below, above in pairwise(ladder))
        self.context_first: nn.Module | None = None
        self.context_output: nn.Module | None = None
        for layer in self._stack:
            initialise(layer, generator)
        if context_features:
            widths = (hidden[0], features * per_feature)
            self.context_first, self.context_output = (
                MLP(context_features, width, (context_hidden,), activation=activation, generator=generator)
                for width in widths
            )
        self._packed: tuple[object, PackedMADE] | None = None

    @property
    def _stack(self) -> list[MaskedLinear]:
        return cast("list[MaskedLinear]", list(self.layers))

    def start_at(self, parameters: Tensor, scale: float = 0.1) -> None:
        """Make the outputs start near ``parameters`` (P,), the same for every feature and input."""
        with torch.no_grad():
            last = self._stack[-1]
            last.weight.mul_(scale)
            last.bias.copy_(parameters.repeat_interleave(self.features))
        if isinstance(self.context_output, MLP):
            self.context_output.start_at(torch.zeros(()), scale)

    def context_terms(self, context: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """What the context adds to the first hidden layer ``(N, H_1)`` and to the outputs ``(N, P * D)``."""
        if context is None:
            return None, None
        first = None if self.context_first is None else self.context_first(context)
        return first, None if self.context_output is None else self.context_output(context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        first, output = self.context_terms(context)
        bottom, *middle, top = self._stack
        h = bottom(x)
        h = self.activation(h if first is None else h + first)
        for layer in middle:
            h = functional.dropout(self.activation(layer(h)), self.dropout, self.training)
        parameters: Tensor = top(h)
        if output is not None:
            parameters = parameters + output
        return parameters.view(-1, self.per_feature, self.features)

    def packed(self) -> PackedMADE:
        """The weights sorted for `hepflows.kernels.masked_inverse`; made anew whenever a weight has changed."""
        tensors = [tensor for layer in self._stack for tensor in (layer.weight, layer.bias)]
        key = tuple((tensor.data_ptr(), tensor._version, tensor.dtype, tensor.device) for tensor in tensors)
        if self._packed is None or self._packed[0] != key:
            with torch.no_grad():
                made = pack(
                    [layer.mask * layer.weight for layer in self._stack],
                    [layer.bias for layer in self._stack],
                    [degree.to(tensors[0].device) for degree in self.degrees],
                    self.features,
                    self.activation,
                )
            self._packed = (key, made)
        return self._packed[1]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_packed": None}  # copies and other processes pack their own


def spread_degrees(units: int, features: int) -> Tensor:
    """Degrees of ``units`` hidden units, spread evenly over ``0 .. features - 1`` in ascending order.

    >>> spread_degrees(4, 8)
    tensor([0, 2, 4, 6])
    """
    return torch.arange(units) * features // units
