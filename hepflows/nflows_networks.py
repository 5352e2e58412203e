"""nflows' networks as ours, units sorted by degree and outputs in our order.

Part of `hepflows.nflows_adapter`; nothing here imports nflows: a class is known by its name inside nflows.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from hepflows.errors import DomainError
from hepflows.made import MADE
from hepflows.nets import MLP, Activation, Linear, ResidualNet

Rows = Callable[[int, object], tuple[Tensor, Tensor]]
"""Number of mapped features and network to the place of each of our outputs among nflows', and its factor."""


def nflows_name(part: object, known: Collection[str]) -> str | None:
    """The known nflows class that ``part`` is, or None; a subclass may bring a constructor and nothing else."""
    for kind in type(part).__mro__:
        if kind.__module__.startswith("nflows.") and kind.__name__ in known:
            return kind.__name__
        changed = (value for name, value in vars(kind).items() if name != "__init__")
        if any(callable(value) or isinstance(value, property | classmethod) for value in changed):
            return None
    return None


def unknown(part: object, why: str = "rebuild this part with hepflows.bijections") -> DomainError:
    """The error that names a part, where it comes from and why."""
    kind = type(part)
    owner = "nflows' " if kind.__module__.startswith("nflows.") else f"{kind.__module__}."
    return DomainError(f"{owner}{kind.__name__} cannot be converted: {why}")


def made_from_nflows(net: Any, rows: Rows) -> MADE:
    """The same network with the units of every layer in ascending order of degree."""
    if nflows_name(net, {"MADE"}) is None:
        raise unknown(net)
    if any(isinstance(module, nn.BatchNorm1d) for module in net.modules()):
        raise unknown(net, "it has batch norm inside, so use_batch_norm=False is needed")
    blocks = [block.linear_layers if net.use_residual_blocks else [block.linear] for block in net.blocks]
    layers = [net.initial_layer, *chain.from_iterable(blocks)]
    features = net.initial_layer.in_features
    orders = [torch.argsort(layer.degrees, stable=True) for layer in layers]
    made = MADE(
        features,
        net.final_layer.out_features // features,
        [layer.out_features for layer in layers],
        activation=_activation(net, net.activation),
        residual=net.use_residual_blocks,
        dropout=net.blocks[0].dropout.p if len(net.blocks) else 0.0,
        degrees=[layer.degrees[order].cpu() for layer, order in zip(layers, orders, strict=True)],
        generator=torch.Generator(),
    )
    columns: Tensor | slice = slice(None)
    for ours, theirs, order in zip(made.layers, layers, orders, strict=True):
        _fill(ours, theirs.weight[order][:, columns], theirs.bias[order])
        _check_mask(net, ours, theirs.mask[order][:, columns])
        columns = order
    places, factors = rows(features, net)
    _fill(made.output, *_outputs(net.final_layer, places, factors, columns))
    _check_mask(net, made.output, net.final_layer.mask[:, columns][places])
    if hasattr(net, "context_layer"):
        made.context_features = net.context_layer.in_features
        made.context_terms["0"] = _ContextLayer(net.context_layer, orders[0], made.activation)
        for index, block in enumerate(net.blocks if net.use_residual_blocks else ()):
            made.context_terms[str(2 * index + 1)] = _ContextLayer(block.context_layer, orders[2 * index + 1])
    return made


def net_from_nflows(net: Any, mapped: int, rows: Rows, context: int) -> tuple[nn.Module, int]:
    """The network of a coupling and the width of its context.

    nflows' own residual network and multi-layer perceptron become ours; any other network is copied as it is.

    Args:
        net: the network.
        mapped: number of features whose maps it parametrises.
        rows: from its outputs to ours.
        context: width of the context that the flow has, for a network that does not say.
    """
    places, factors = rows(mapped, net)
    kind = nflows_name(net, {"ResidualNet", "MLP"})
    if kind == "ResidualNet" and not any(isinstance(module, nn.BatchNorm1d) for module in net.modules()):
        return _residual_net(net, places, factors)
    if kind == "MLP":
        if net._activate_output or len(net._in_shape) != 1:
            raise unknown(net, "an activation of its outputs and inputs of several axes have no counterpart")
        inputs, outputs = net._input_layer.in_features, net._output_layer.out_features
        activation = _activation(net, net._activation)
        mlp = MLP(inputs, outputs, net._hidden_sizes, activation=activation, generator=torch.Generator())
        for ours, theirs in zip(mlp.hidden, [net._input_layer, *net._hidden_layers], strict=True):
            _fill(ours, theirs.weight, theirs.bias)
        _fill(mlp.output, *_outputs(net._output_layer, places, factors))
        return mlp, 0
    if kind == "ResidualNet":
        context = net.context_features or 0
    return _ForeignNet(net, places, factors), context


def _residual_net(net: Any, places: Tensor, factors: Tensor) -> tuple[nn.Module, int]:
    context = net.context_features or 0
    blocks = list(net.blocks)
    ours = ResidualNet(
        net.initial_layer.in_features - context,
        net.final_layer.out_features,
        net.hidden_features,
        len(blocks),
        context_features=context,
        activation=_activation(net, blocks[0].activation) if blocks else torch.relu,
        dropout=blocks[0].dropout.p if blocks else 0.0,
        generator=torch.Generator(),
    )
    theirs = [net.initial_layer, *chain.from_iterable(block.linear_layers for block in blocks)]
    theirs += [block.context_layer for block in blocks] if context else []
    for mine, other in zip([ours.first, *ours.blocks, *ours.gates], theirs, strict=True):
        _fill(cast("nn.Linear", mine), other.weight, other.bias)
    _fill(ours.output, *_outputs(net.final_layer, places, factors))
    return ours, context


def _outputs(
    layer: nn.Linear, places: Tensor, factors: Tensor, columns: Tensor | slice = slice(None)
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the last layer, its rows in our order and scaled."""
    factors = factors.to(layer.weight)
    return layer.weight[:, columns][places] * factors.unsqueeze(1), layer.bias[places] * factors


def _fill(layer: Any, weight: Tensor, bias: Tensor) -> None:
    """New parameters with these values, their dtype and their device."""
    layer.weight, layer.bias = (nn.Parameter(value.detach().clone()) for value in (weight, bias))


def _check_mask(net: object, ours: Any, mask: Tensor) -> None:
    if not torch.equal(ours.mask, mask.to(ours.mask)):
        raise unknown(net, "its masks are not those of its degrees")


def _activation(net: object, activation: Activation) -> Activation:
    """A copy of the activation, which must act on each number by itself: ours are laid out the other way round."""
    ours = copy.deepcopy(activation)
    like = next(iter(ours.parameters()), torch.empty(())) if isinstance(ours, nn.Module) else torch.empty(())
    probe = torch.linspace(-2, 2, 6, dtype=like.dtype, device=like.device).view(2, 3)
    elementwise, before = False, probe.tolist()
    with torch.no_grad(), contextlib.suppress(RuntimeError):  # of the wrong shape
        elementwise = torch.allclose(ours(probe.T.clone()), ours(probe).T, rtol=1e-5) and probe.tolist() == before
    if not elementwise:
        raise unknown(net, "its activation is not one of each number by itself that leaves its argument alone")
    return ours


class _ContextLayer(Linear):
    """What nflows' MADE adds to a hidden layer: activation(linear(context)) to the first, linear(context) to a block."""

    def __init__(self, layer: nn.Linear, order: Tensor, activation: Activation | None = None) -> None:
        super().__init__(layer.in_features, layer.out_features)
        self.activation = activation
        _fill(self, layer.weight[order], layer.bias[order])

    def forward(self, context: Tensor) -> Tensor:
        outputs = super().forward(context)
        return outputs if self.activation is None else self.activation(outputs)


class _ForeignNet(nn.Module):
    """A copy of a network that we have no counterpart of, its outputs in our order and scaled."""

    places: Tensor
    factors: Tensor

    def __init__(self, net: nn.Module, places: Tensor, factors: Tensor) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("factors", factors, persistent=False)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        outputs: Tensor = self.net(x.contiguous(), context)
        return outputs.reshape(len(x), -1)[:, self.places] * self.factors


class ConstantNet(nn.Module):
    """Parameters that depend on nothing, (B, P) to (N, B * P)."""

    def __init__(self, raw: Tensor) -> None:
        super().__init__()
        self.raw = nn.Parameter(raw.detach().clone())

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.raw.reshape(1, -1).expand(len(x), -1)
