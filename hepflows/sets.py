"""Networks of sets: jets, tracks or hits in any order and any number become one vector of fixed length."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.errors import ShapeError
from hepflows.nets import Linear, initialise


class _Layers(nn.Module):
    """Linear layers with a normalisation and a leaky rectifier after each, and a skip where the width stays."""

    def __init__(self, inputs: int, widths: list[int], generator: torch.Generator | None) -> None:
        super().__init__()
        self.linear = nn.ModuleList(Linear(i, o) for i, o in pairwise([inputs, *widths]))
        self.norm = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        for layer in self.linear:
            initialise(layer, generator)  # type: ignore[arg-type]

    def forward(self, h: Tensor) -> Tensor:
        for linear, norm in zip(self.linear, self.norm, strict=True):
            new = functional.leaky_relu(norm(linear(h)), 0.1)
            h = h + new if new.shape == h.shape else new
        return h


class DeepSet(nn.Module):
    r"""A set of items to one vector, whatever their order and number (deep sets, arXiv:1703.06114; pooling as in arXiv:2207.00664).

    .. math:: s = \rho\Big(\frac{1}{\sqrt{m}} \sum_{j=1}^{n} \sigma\big(a(x_j, c)\big)\, \phi(x_j, c),\; c\Big)

    with networks :math:`\phi`, :math:`a` and :math:`\rho`, the context ``c`` of the whole event, and the gate :math:`\sigma(a)` between 0
    and 1 that says how much an item counts (one gate a head, the heads share the units of :math:`\phi` among them). It is a sum and no
    mean over the ``n`` items, so that their number is not lost; ``m`` is the most that there can be. An empty set is a sum of zero.

    Args:
        features: width F of an item.
        outputs: width of the vector.
        context_features: width C of what is known of the whole event, zero for nothing.
        hidden: width of the layers of :math:`\phi` and :math:`\rho`, a multiple of ``heads``.
        layers: depth of all three networks.
        attention: width of the layers of ``a``.
        heads: gates an item.
        generator: draws the initial weights.

    Shapes: ``items`` ``(N, m, F)``, ``mask`` ``(N, m)`` booleans, true where there is an item, ``context`` ``(N, C)``; the vectors
    ``(N, outputs)``. What stands where the mask is false is not looked at, not even NaN.

    Raises:
        ShapeError: wrong shapes, or a context that is missing or unwanted.

    Example:
        >>> net = DeepSet(features=2, outputs=3, hidden=8, generator=torch.Generator().manual_seed(0))
        >>> jets = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]])
        >>> there = torch.tensor([[True, True, False]])
        >>> torch.allclose(net(jets, there), net(jets[:, [1, 0, 2]], there), atol=1e-6)
        True
    """

    def __init__(
        self,
        features: int,
        outputs: int,
        context_features: int = 0,
        *,
        hidden: int = 64,
        layers: int = 2,
        attention: int = 32,
        heads: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if hidden % heads:
            message = f"the hidden width of a DeepSet must be a multiple of its heads, got {hidden} and {heads}"
            raise ShapeError(message)
        self.features, self.outputs, self.context_features, self.heads = features, outputs, context_features, heads
        width = features + context_features
        self.feature = _Layers(width, [hidden] * layers, generator)
        self.attention = _Layers(width, [attention] * layers, generator)
        self.gate = Linear(attention, heads)
        self.pooled = _Layers(hidden + context_features, [hidden] * layers, generator)
        self.output = Linear(hidden, outputs)
        for layer in (self.gate, self.output):
            initialise(layer, generator)

    def forward(self, items: Tensor, mask: Tensor, context: Tensor | None = None) -> Tensor:
        self._check(items, mask, context)
        # what is there, one item a row: empty places cost nothing
        rows = mask.nonzero()[:, 0]
        there = items[mask]
        if context is not None:
            there = torch.cat([there, context[rows]], -1)
        gates = torch.sigmoid(self.gate(self.attention(there)))
        values = self.feature(there).unflatten(-1, (self.heads, -1)) * gates.unsqueeze(-1)
        total = values.new_zeros(len(items), *values.shape[1:]).index_add(0, rows, values)
        total = total.flatten(1) / max(1, items.shape[1]) ** 0.5
        if context is not None:
            total = torch.cat([total, context], -1)
        vector: Tensor = self.output(self.pooled(total))
        return vector

    def _check(self, items: Tensor, mask: Tensor, context: Tensor | None) -> None:
        if items.ndim != 3 or items.shape[-1] != self.features or mask.shape != items.shape[:-1]:
            message = (
                f"a set needs items of shape (N, m, {self.features}) and a mask (N, m), "
                f"got {tuple(items.shape)} and {tuple(mask.shape)}"
            )
            raise ShapeError(message)
        if mask.dtype != torch.bool:
            message = f"the mask of a set must hold booleans, true where there is an item, got {mask.dtype}"
            raise ShapeError(message)
        wanted = (len(items), self.context_features) if self.context_features else None
        if (None if context is None else tuple(context.shape)) != wanted:
            message = f"this DeepSet takes a context of shape {wanted}, got {None if context is None else tuple(context.shape)}"
            raise ShapeError(message)
