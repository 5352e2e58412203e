"""A causal transformer over patches of features: a network for autoregressive maps whose size does not grow with the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.errors import ShapeError
from hepflows.nets import Linear, initialise

Cache = list[Tensor]
"""Keys and values of every layer, ``(2, N, heads, T, width / heads)`` each."""


class CausalTransformer(nn.Module):
    r"""Parameters of the features of patch ``k`` from the context and the patches before it (TarFlow, arXiv:2412.06329).

    The features are cut into ``T`` patches. Token 0 carries the context alone, token ``k`` the context and patch ``k - 1``; with ``u`` the
    features of a patch, padded with zeros to the widest one, and ``p`` learnt positions,

    .. math:: h_0 = W_c\, c + p_0, \qquad h_k = W_x\, u_{k-1} + W_c\, c + p_k .

    Layers of attention and of a perceptron follow, each on the normalised tokens and added to them, where a token attends to itself and to
    those before it. From the last :math:`h_k` come the parameters of every feature ``d`` of patch ``k``,

    .. math:: \theta_d = V_i\, \mathrm{norm}(h_k) + b_d

    with ``i`` the place of ``d`` in its patch: features of one patch do not see each other. All weights are shared by the patches and only
    ``p`` and ``b`` tell them apart, so that their number hardly grows with the features.

    The attention is torch's fused one, which knows first derivatives only. Second ones, and those in forward mode, are there inside of
    ``torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)``.

    Args:
        patches: how many features each patch has, in order; they need not be equal.
        per_feature: number of parameters ``P`` of each feature.
        width: of a token, a multiple of ``heads``.
        layers: of attention and perceptron.
        heads: of each attention.
        context_features: width ``C`` of the context, zero for none.
        dropout: of what each layer adds, in training.
        generator: draws the initial weights.

    Shapes: ``x`` (N, D) and ``context`` (N, C) to outputs (N, D P), in memory transposed; parameter ``p`` of feature ``d`` is column
    ``d P + p``.

    Raises:
        ShapeError: no patch, an empty one, or a width that the heads do not share out evenly.

    Example:
        >>> net = CausalTransformer([3, 3, 2], 2, width=16, heads=4, generator=torch.Generator().manual_seed(0))
        >>> net(torch.zeros(5, 8)).shape
        torch.Size([5, 16])
    """

    slots: Tensor
    sources: Tensor

    def __init__(
        self,
        patches: Sequence[int],
        per_feature: int,
        *,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        context_features: int = 0,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not patches or min(patches) < 1:
            message = f"a CausalTransformer needs patches of at least one feature each, got {list(patches)}"
            raise ShapeError(message)
        if min(width, layers, heads) < 1 or width % heads:
            message = (
                f"a CausalTransformer needs a width that is a multiple of its heads, and at least one layer, got width={width}, "
                f"heads={heads} and layers={layers}"
            )
            raise ShapeError(message)
        self.patches, self.per_feature, self.context_features = list(patches), per_feature, context_features
        self.features, self.widest, self.heads = sum(patches), max(patches), heads
        self.embedding = Linear(self.widest, width)
        self.bring_in = Linear(context_features, width) if context_features else None
        self.positions = nn.Parameter(torch.empty(len(patches), width))
        self.layers = nn.ModuleList(_Layer(width, heads, dropout, generator) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.weight = nn.Parameter(torch.empty(self.widest * per_feature, width))
        self.bias = nn.Parameter(torch.empty(self.features * per_feature))
        for layer in [self.embedding, *([] if self.bring_in is None else [self.bring_in])]:
            initialise(layer, generator)
        with torch.no_grad():
            self.positions.uniform_(-1, 1, generator=generator)
            for parameter in (self.weight, self.bias):
                parameter.uniform_(-(width**-0.5), width**-0.5, generator=generator)
        # where each feature stands among the padded ones, and which feature a padded place holds: one past the last for none
        slots = [k * self.widest + i for k, size in enumerate(patches) for i in range(size)]
        self.register_buffer("slots", torch.tensor(slots), persistent=False)
        sources = torch.full((len(patches) * self.widest,), self.features)
        sources[slots] = torch.arange(self.features)
        self.register_buffer("sources", sources, persistent=False)

    def start_at(self, parameters: Tensor, scale: float = 0.1) -> None:
        """Make the outputs start near ``parameters``, the same for every feature, whatever the input."""
        with torch.no_grad():
            self.weight.mul_(scale)
            self.bias.copy_(parameters.repeat(self.features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``x`` (N, D) and ``context`` (N, C) to the outputs (N, D P)."""
        padded, n = x, x.shape[0]  # not len(x), which the exporter would take for a constant
        if len(self.sources) > self.features:
            padded = torch.cat([x, torch.zeros_like(x[:, :1])], 1).index_select(1, self.sources)
        patches = padded.reshape(n, len(self.patches), self.widest)
        h = self.embedding(functional.pad(patches[:, :-1], (0, 0, 1, 0))) + self.positions
        if self.bring_in is not None:
            h = h + self.bring_in(context).unsqueeze(1)
        for layer in self.layers:
            h = layer(h)
        # events last, as the maps of one feature want them
        raw = (self.weight @ self.norm(h).permute(1, 2, 0)).reshape(-1, self.per_feature, n)
        if len(self.sources) > self.features:
            raw = raw.index_select(0, self.slots)
        outputs: Tensor = raw.reshape(len(self.bias), n) + self.bias.unsqueeze(1)
        return outputs.T

    def empty_cache(self, n: int) -> Cache:
        """Room for the keys and values of ``n`` events."""
        tokens, width = self.positions.shape
        shape = (2, n, self.heads, tokens, width // self.heads)
        return [self.positions.new_empty(shape) for _ in self.layers]

    def step(self, index: int, before: Tensor, context: Tensor | None, cache: Cache) -> Tensor:
        """The parameters of one patch, from the patch before it and what ``cache`` holds of those before that.

        Args:
            index: which patch; the steps come in order, from patch 0 on.
            before: (N, ...) the features of patch ``index - 1``; of patch 0, none.
            context: (N, C) or None.
            cache: of `empty_cache`; this step's keys and values are added.

        Returns:
            The columns of `forward` that belong to the patch, in the shape (features, P, N).
        """
        size = self.patches[index]
        patch = functional.pad(before, (0, self.widest - before.shape[1]))
        h = (self.embedding(patch) + self.positions[index]).unsqueeze(1)
        if self.bring_in is not None:
            h = h + self.bring_in(context).unsqueeze(1)
        for layer, kept in zip(self.layers, cache, strict=True):
            h = cast("_Layer", layer).step(h, kept, index)
        first, rows = sum(self.patches[:index]) * self.per_feature, size * self.per_feature
        raw = torch.addmm(self.bias[first : first + rows].unsqueeze(1), self.weight[:rows], self.norm(h).squeeze(1).T)
        return raw.view(size, self.per_feature, -1)


class _Layer(nn.Module):
    """Attention to the tokens before and to oneself, then a perceptron of one hidden layer, four times as wide."""

    def __init__(self, width: int, heads: int, dropout: float, generator: torch.Generator | None) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attend, self.gather = Linear(width, 3 * width), Linear(width, width)
        self.up, self.down = Linear(width, 4 * width), Linear(4 * width, width)
        for layer in (self.attend, self.gather, self.up, self.down):
            initialise(layer, generator)

    def forward(self, h: Tensor) -> Tensor:
        """(N, T, width) tokens to the same."""
        query, key, value = self._projections(h)
        return self._add(h, functional.scaled_dot_product_attention(query, key, value, is_causal=True))

    def step(self, h: Tensor, kept: Tensor, index: int) -> Tensor:
        """The (N, 1, width) token ``index`` alone, those before it known by the keys and values in ``kept``."""
        query, *new = self._projections(h)
        kept[..., index : index + 1, :] = torch.stack(new)
        key, value = kept[..., : index + 1, :]
        return self._add(h, functional.scaled_dot_product_attention(query, key, value))

    def _projections(self, h: Tensor) -> Tensor:
        """Queries, keys and values, (3, N, heads, T, width / heads)."""
        n, tokens, width = h.shape
        projected: Tensor = self.attend(self.norms[0](h))
        return projected.view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)

    def _add(self, h: Tensor, attended: Tensor) -> Tensor:
        """What the attention and the perceptron add to the tokens."""
        drop = self.dropout, self.training
        h = h + functional.dropout(self.gather(attended.transpose(1, 2).flatten(2)), *drop)
        return h + functional.dropout(self.down(functional.gelu(self.up(self.norms[1](h)))), *drop)
