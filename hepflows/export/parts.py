"""Parts of a graph that are translated once and by themselves, and the symbols that hold their places meanwhile.

The translation of a graph costs tens of milliseconds an operator. A flow repeats the same map of one feature in every block, some hundred
operators; and the inverse of an autoregressive map repeats the same step for every feature. Each is one operator of the domain
``hepflows`` while the rest is translated (`Parts.map_of`, `Parts.loop`), and `hepflows.export.splice` puts its translation there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hepflows.bijections import Univariate

DOMAIN = "hepflows"

ROWS = 5
"""Events of an example: neither 0 nor 1, which torch takes for sizes of their own kind, nor another axis' length."""


@dataclass(frozen=True)
class Part:
    """A module to be translated.

    Attributes:
        module: what it does.
        arguments: shape and type of an example of each input.
        inputs: their names.
        outputs: names of what it returns.
        dynamic: for each input the axes that may have any length, with their names.
        steps: how often it runs, its output taking the place of its second input; 0 for a part that is no loop.
        key: equal for parts of the same graph.
    """

    module: nn.Module
    arguments: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dynamic: tuple[dict[int, str], ...]
    steps: int = 0
    key: Any = None


class Parts:
    """The parts of one export by name, noted down while the whole is translated."""

    def __init__(self) -> None:
        self.known: dict[str, Part] = {}
        self._names: dict[Any, str] = {}

    def map_of(self, univariate: Univariate, x: Tensor, parameters: Tensor, *, inverse: bool) -> tuple[Tensor, Tensor]:
        """Symbols for a map of one feature: its values and their log |det J|."""
        direction = "inverse" if inverse else "forward"
        key = (settings(univariate), direction, x.dtype)
        part = Part(
            _Map(univariate, direction),
            (((3, ROWS), x.dtype), ((3, univariate.per_feature, ROWS), x.dtype)),
            ("x", "parameters"),
            ("value", "ladj"),
            ({0: "features", 1: "events"}, {0: "features", 2: "events"}),
            key=key,
        )
        name = self._note(f"{type(univariate).__name__}_{direction}", part)
        value, ladj = (_symbol(f"{name}_{output}", (x, parameters), x) for output in part.outputs)
        return value, ladj

    def loop(self, step: Step, steps: int, z: Tensor, context: Tensor | None) -> Tensor:
        """A symbol for ``x`` after so many steps ``x = step(index, x, z, context)``, beginning with ``x = z``."""
        weights = dict(step.named_parameters())
        given = [z] if context is None else [z, context]
        rows = [((ROWS, tensor.shape[1]), tensor.dtype) for tensor in given]
        sizes = [(tuple(tensor.shape), tensor.dtype) for tensor in weights.values()]
        part = Part(
            _WithWeights(step, list(weights), len(given)),
            (((), torch.int64), rows[0], *rows, *sizes),
            ("index", "x", *("z", "context")[: len(given)], *(f"weight.{name}" for name in weights)),
            ("next",),
            ({}, *[{0: "events"}] * (1 + len(given)), *[{}] * len(weights)),
            steps,
            (step.structure, steps, *zip(weights, sizes, strict=True)),
        )
        return _symbol(f"{self._note('steps', part)}_next", [*given, *weights.values()], z)

    def _note(self, title: str, part: Part) -> str:
        if part.key not in self._names:
            self._names[part.key] = f"{title}_{len(self._names)}"
            self.known[self._names[part.key]] = part
        return self._names[part.key]


def settings(univariate: Univariate) -> Any:
    """What tells a map of one feature from another: its type and its numbers, or itself where it has more than numbers."""
    values = vars(univariate)
    plain = all(isinstance(value, int | float | str | None) for value in values.values())
    return (type(univariate), *sorted(values.items())) if plain else univariate


class Step(nn.Module):
    """One step of a loop, ``(index (), x (N, D), z (N, D), context (N, C)) -> x (N, D)``.

    Attributes:
        structure: with the names and shapes of its weights, all that tells its graph from that of another step.
    """

    structure: Any


def _symbol(name: str, inputs: Sequence[Tensor], like: Tensor) -> Tensor:
    return torch.onnx.ops.symbolic(f"{DOMAIN}::{name}", inputs, dtype=like.dtype, shape=like.shape, version=1)


class _Map(nn.Module):
    """A map of one feature as a module."""

    def __init__(self, univariate: Univariate, direction: str) -> None:
        super().__init__()
        self.function = getattr(univariate, direction)

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        value, ladj = self.function(x, parameters)
        return value, ladj


class _WithWeights(nn.Module):
    """A step whose weights are inputs: blocks that differ in their weights alone are translated once."""

    def __init__(self, step: Step, names: Sequence[str], given: int) -> None:
        super().__init__()
        self.step, self.names, self.given = step, names, 2 + given

    def forward(self, *tensors: Tensor) -> Tensor:
        weights = dict(zip(self.names, tensors[self.given :], strict=True))
        x: Tensor = functional_call(self.step, weights, tensors[: self.given])
        return x


class SymbolicUnivariate(Univariate):
    """A map of one feature that leaves a symbol in the graph while it is translated, and computes as ever elsewhere."""

    def __init__(self, univariate: Univariate, parts: Parts) -> None:
        self.univariate, self.parts = univariate, parts
        self.per_feature = univariate.per_feature

    def forward(self, x: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        if torch.onnx.is_in_onnx_export() and x.ndim == 2:
            return self.parts.map_of(self.univariate, x, parameters, inverse=False)
        return self.univariate.forward(x, parameters)

    def inverse(self, z: Tensor, parameters: Tensor) -> tuple[Tensor, Tensor]:
        if torch.onnx.is_in_onnx_export() and z.ndim == 2:
            return self.parts.map_of(self.univariate, z, parameters, inverse=True)
        return self.univariate.inverse(z, parameters)

    def identity(self) -> Tensor:
        return self.univariate.identity()
