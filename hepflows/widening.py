"""A masked network with more units that computes what it did before (Net2Net, arXiv:1511.05641)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from hepflows.errors import DomainError
from hepflows.made import MADE, spread_degrees
from hepflows.nets import MLP, ColumnLinear


def widened(made: MADE, hidden: Sequence[int], *, dropout: float, generator: torch.Generator | None = None) -> MADE:
    """A network with the outputs of ``made`` and wider hidden layers.

    The added units have initial weights of their own and nothing listens to them yet, so that all outputs are as before and all weights
    can learn. Their degrees are spread evenly.

    Args:
        made: the network; it is left as it is.
        hidden: widths of the hidden layers, as many as it has and none narrower.
        dropout: of the new network.
        generator: draws the weights of the units that are added.

    Raises:
        DomainError: there are fewer or more layers, or narrower ones.

    Example:
        >>> made = MADE(3, 2, hidden=(8,), generator=torch.Generator().manual_seed(0))
        >>> wide = widened(made, (12,), dropout=0.0, generator=torch.Generator().manual_seed(1))
        >>> x = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
        >>> bool(torch.allclose(wide(x), made(x), atol=1e-12))
        True
    """
    before = [len(degrees) for degrees in made.degrees]
    if len(hidden) != len(before) or any(new < old for new, old in zip(hidden, before, strict=True)):
        message = (
            f"a network with hidden layers of {before} cannot begin one of {list(hidden)}: give as many layers and none narrower, "
            "or from_teacher=False"
        )
        raise DomainError(message)
    merged = [
        _merged(old, spread_degrees(width - len(old), made.features))
        for old, width in zip(made.degrees, hidden, strict=True)
    ]
    degrees, places = [degrees for degrees, _ in merged], [places for _, places in merged]
    context_hidden = made.output.weight.shape[1] - before[-1]
    new = MADE(
        made.features,
        made.per_feature,
        hidden,
        context_features=made.context_features,
        context_hidden=context_hidden,
        activation=made.activation,
        residual=made.residual,
        dropout=dropout,
        degrees=degrees,
        generator=generator,
    ).to(made.output.weight)
    every = torch.arange(new.output.weight.shape[0])
    heard = [
        torch.arange(made.features),
        *places[:-1],
        torch.cat([torch.arange(context_hidden), context_hidden + places[-1]]),
    ]
    pairs = zip((*new.layers, new.output), (*made.layers, made.output), [*places, every], heard, strict=True)
    for mine, its, rows, columns in pairs:
        _embed(cast("ColumnLinear", mine), cast("ColumnLinear", its), rows, columns)
    if made.context_units is not None and new.context_units is not None:
        new.context_units.load_state_dict(made.context_units.state_dict())
        for name, term in made.context_terms.items():
            mine, its = cast("MLP", new.context_terms[name]), cast("MLP", term)
            mine.hidden.load_state_dict(its.hidden.state_dict())
            _embed(mine.output, its.output, places[int(name)], torch.arange(context_hidden))
    return new


def _merged(old: Tensor, added: Tensor) -> tuple[Tensor, Tensor]:
    """The degrees of both in ascending order, and where the old ones stand among them."""
    degrees, order = torch.cat([old, added]).sort(stable=True)
    return degrees, torch.nonzero(order < len(old)).flatten()


@torch.no_grad()
def _embed(layer: ColumnLinear, within: ColumnLinear, rows: Tensor, columns: Tensor) -> None:
    """Give the units ``rows`` of a layer the weights of another, on the inputs ``columns`` and none on all others."""
    layer.weight[rows] = 0
    layer.weight[rows[:, None], columns] = within.weight
    layer.bias[rows] = within.bias
