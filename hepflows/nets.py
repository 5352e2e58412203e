"""The networks that condition a bijection. Inside, events stand last: activations are ``(units, N)``.

Every network takes ``(x, context)`` and ends in one linear layer. What comes before it, `Conditioner.last_hidden`, and that layer,
`Conditioner.output`, can be asked for separately: a kernel that fuses the last layer with the map it parametrises wants them so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.kernels.wiring import Wiring

Activation = Callable[[Tensor], Tensor]


class Linear(nn.Linear):
    """A linear layer that is left for `initialise` to fill: torch's own would draw from its global state."""

    def reset_parameters(self) -> None:
        """Draw nothing."""


class ColumnLinear(Linear):
    """A linear layer of ``(in, N)`` activations: events are columns."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.addmm(self.bias.unsqueeze(1), self.weight, h)


def initialise(layer: nn.Linear, generator: torch.Generator | None, scale: float = 1.0) -> None:
    """Uniform weights and biases in +-scale/sqrt(fan_in), drawn from ``generator``."""
    bound = scale / max(1, layer.in_features) ** 0.5
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)


class Conditioner(nn.Module):
    """A network whose last layer is linear.

    Attributes:
        output: the last layer; its rows are the outputs, the parameters of one feature next to one another.
        seen: how many of the last hidden units each feature may see, or None where each sees all of them.
    """

    output: ColumnLinear
    seen: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", None, persistent=False)

    def last_hidden(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``x`` (N, F) and ``context`` (N, C) to the last hidden activations (H, N)."""
        raise NotImplementedError

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``x`` (N, F) and ``context`` (N, C) to the outputs (N, outputs), in memory transposed."""
        outputs: Tensor = self.output(self.last_hidden(x, context))
        return outputs.T

    def start_at(self, parameters: Tensor, scale: float = 0.1) -> None:
        """Make the outputs start near ``parameters``, repeated for every feature, whatever the input."""
        with torch.no_grad():
            self.output.weight.mul_(scale)
            self.output.bias.copy_(parameters.repeat(len(self.output.bias) // len(parameters)))


class Dense(Conditioner):
    """A conditioner of linear layers without masks, which a kernel can compute from the first to the last.

    Attributes:
        dropout: probability to drop a hidden unit, in training.
    """

    dropout: float

    @property
    def layers(self) -> list[ColumnLinear]:
        """The layers below the last one, in the order of `wiring`."""
        raise NotImplementedError

    @property
    def wiring(self) -> Wiring:
        """How these layers hang together."""
        raise NotImplementedError

    def inputs(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """What the first layer takes, ``(F + C, N)``."""
        return x.T if context is None else torch.cat([x.T, context.T])


class MLP(Dense):
    """Fully connected network of ``(x, context)``, the two concatenated.

    Args:
        features: width of ``x``; zero for a network of the context alone.
        outputs: number of outputs.
        hidden: widths of the hidden layers.
        context_features: width of the context.
        activation: applied after every hidden layer.
        dropout: probability to drop a hidden unit, in training.
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
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.context_features, self.dropout = context_features, dropout
        widths = [features + context_features, *hidden, outputs]
        layers = [ColumnLinear(i, o) for i, o in pairwise(widths)]
        self.hidden, self.output = nn.ModuleList(layers[:-1]), layers[-1]
        self.activation = activation
        for layer in layers:
            initialise(layer, generator)

    @property
    def layers(self) -> list[ColumnLinear]:
        return cast("list[ColumnLinear]", list(self.hidden))

    @property
    def wiring(self) -> Wiring:
        return Wiring(self.activation)

    def last_hidden(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = self.inputs(x, context)
        for layer in self.layers:
            h = functional.dropout(self.activation(layer(h)), self.dropout, self.training)
        return h


class ResidualNet(Dense):
    """Residual network of ``(x, context)``: the conditioner of neural spline flows (arXiv:1906.04032).

    A first linear layer, then blocks ``u + (W_b act(W_a act(u)))``, where a context gates what a block adds:
    ``u + t * sigmoid(V c)``.

    Args:
        features: width of ``x``.
        outputs: number of outputs.
        hidden: width of every hidden layer.
        blocks: number of residual blocks.
        context_features: width of the context.
        activation: applied before every layer of a block.
        dropout: probability to drop a unit inside a block, in training.
        generator: draws the initial weights.

    Example:
        >>> net = ResidualNet(3, 2, hidden=16, context_features=1, generator=torch.Generator().manual_seed(0))
        >>> net(torch.zeros(5, 3), torch.zeros(5, 1)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        hidden: int = 64,
        blocks: int = 2,
        *,
        context_features: int = 0,
        activation: Activation = functional.relu,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.context_features, self.activation, self.dropout = context_features, activation, dropout
        self.first = ColumnLinear(features + context_features, hidden)
        self.blocks = nn.ModuleList(ColumnLinear(hidden, hidden) for _ in range(2 * blocks))
        self.gates = nn.ModuleList(
            ColumnLinear(context_features, hidden) for _ in range(blocks if context_features else 0)
        )
        self.output = ColumnLinear(hidden, outputs)
        for layer in (self.first, *self.blocks, *self.gates, self.output):
            initialise(cast("ColumnLinear", layer), generator)

    @property
    def layers(self) -> list[ColumnLinear]:
        blocks: list[nn.Module] = []
        for i in range(len(self.blocks) // 2):
            blocks += [*self.blocks[2 * i : 2 * i + 2], *self.gates[i : i + 1]]
        return cast("list[ColumnLinear]", [self.first, *blocks])

    @property
    def wiring(self) -> Wiring:
        return Wiring(self.activation, residual=True, gates=self.context_features)

    def last_hidden(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        u = self.first(self.inputs(x, context))
        for block in range(len(self.blocks) // 2):
            t = self.blocks[2 * block](self.activation(u))
            t = functional.dropout(self.activation(t), self.dropout, self.training)
            t = self.blocks[2 * block + 1](t)
            if context is not None:
                t = t * torch.sigmoid(self.gates[block](context.T))
            u = u + t
        return cast("Tensor", u)
