"""A model made ready for translation: the same map in operations that ONNX has."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hepflows.bijections import Autoregressive, Bijection, LULinear, MaskedAutoregressive, Univariate
from hepflows.errors import ExportError
from hepflows.export.parts import Parts, Step, SymbolicUnivariate, settings
from hepflows.made import MaskedLinear
from hepflows.nets import ColumnLinear

MOST_FEATURES = 64
"""The inverse of an autoregressive map of more features is refused: its steps follow one another, and each runs the hidden layers anew."""


def prepare(module: nn.Module, parts: Parts) -> nn.Module:
    """A copy of ``module`` in eval mode, with the same outputs, whose pieces can all be translated; symbols are noted in ``parts``."""
    twin = copy.deepcopy(module).eval().requires_grad_(False)
    replaced: dict[int, nn.Module] = {}  # a bijection that stands at several places stays one
    for parent in list(twin.modules()):
        for name, child in list(parent._modules.items()):
            for kind, replacement in _REPLACEMENTS.items():
                if child is not None and isinstance(child, kind):
                    new = replaced.setdefault(id(child), replacement(child, parts))
                    parent.register_module(name, new)
    for part in list(twin.modules()):
        univariate = getattr(part, "univariate", None)
        # one that is a module has parameters of its own, and is translated where it stands
        if isinstance(univariate, Univariate) and not isinstance(univariate, nn.Module | SymbolicUnivariate):
            part.univariate = SymbolicUnivariate(univariate, parts)  # type: ignore[assignment]
    return twin


class _Stepwise(Bijection):
    """An autoregressive bijection whose inverse repeats one step, as often as there are features."""

    def __init__(self, bijection: MaskedAutoregressive | Autoregressive, parts: Parts) -> None:
        super().__init__(bijection.features, bijection.context_features)
        self.bijection = bijection
        self.step: Step = (
            _NextFeature(bijection) if isinstance(bijection, MaskedAutoregressive) else _AllFeatures(bijection)
        )
        self.parts = parts

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.bijection._forward(x, context)

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.features > MOST_FEATURES:
            message = (
                f"the inverse of an autoregressive flow of {self.features} features takes {self.features} steps one after the other, and "
                f"at most {MOST_FEATURES} are exported: take a coupling flow, or distil an inverse autoregressive student, "
                "which samples in one pass"
            )
            raise ExportError(message)
        if torch.onnx.is_in_onnx_export():
            x = self.parts.loop(self.step, self.features, z, context)
        else:
            x = z
            for index in range(self.features):
                x = self.step(torch.tensor(index), x, z, context)
        return x, -self.bijection._forward(x, context)[1]


class _NextFeature(Step):
    """Of a masked network, settle the feature ``index``, once those before it are known; only its own parameters are computed."""

    places: Tensor

    def __init__(self, bijection: MaskedAutoregressive) -> None:
        super().__init__()
        self.made, self.univariate = bijection.made, bijection.univariate
        self.structure = "next feature", settings(self.univariate), self.made.activation, self.made.residual
        self.register_buffer("places", torch.arange(bijection.features), persistent=False)

    def forward(self, index: Tensor, x: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        made, place = self.made, index.reshape(1)
        weight, bias = (
            tensor.reshape(made.features, made.per_feature, -1).index_select(0, place).squeeze(0)
            for tensor in (made.output.weight, made.output.bias)
        )
        parameters = torch.addmm(bias, weight, made.last_hidden(x, context))
        value, _ = self.univariate.inverse(z.index_select(1, place).T, parameters.unsqueeze(0))
        return torch.where(self.places == place, value.T, x)


class _AllFeatures(Step):
    """Of any autoregressive network, whose order is not known: every step settles at least one feature more (arXiv:2002.03629)."""

    def __init__(self, bijection: Autoregressive) -> None:
        super().__init__()
        self.net, self.univariate = bijection.net, bijection.univariate
        self.structure = "all features", settings(self.univariate), self.net

    def forward(self, index: Tensor, x: Tensor, z: Tensor, context: Tensor | None = None) -> Tensor:
        parameters = self.net(x, context).T.reshape(x.shape[1], self.univariate.per_feature, x.shape[0])
        return self.univariate.inverse(z.T, parameters)[0].T


class _Matrix(Bijection):
    """An `LULinear` as a matrix and its inverse: ONNX solves no triangular systems."""

    matrix: Tensor
    back: Tensor
    bias: Tensor
    ladj: Tensor

    def __init__(self, bijection: LULinear) -> None:
        super().__init__(bijection.features)
        exact, like = copy.deepcopy(bijection).double(), bijection.bias
        eye, zero = torch.eye(self.features, dtype=torch.float64), torch.zeros(1, self.features, dtype=torch.float64)
        offset, ladj = exact._forward(zero, None)
        tensors = {
            "matrix": exact._forward(eye, None)[0] - offset,
            "back": exact._inverse(eye + exact.bias, None)[0],
            "bias": offset[0],
            "ladj": ladj[0],
        }
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor.to(like.dtype), persistent=False)

    def _forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return x @ self.matrix + self.bias, self.ladj.expand(x.shape[0])

    def _inverse(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return (z - self.bias) @ self.back, -self.ladj.expand(z.shape[0])


def _unmasked(layer: MaskedLinear) -> ColumnLinear:
    """The layer with its mask multiplied in: the file then holds no masks."""
    plain = ColumnLinear(layer.in_features, layer.out_features)
    plain.weight, plain.bias = nn.Parameter(layer.mask * layer.weight, False), layer.bias
    return plain


_REPLACEMENTS: dict[type[nn.Module], Callable[..., nn.Module]] = {
    MaskedLinear: lambda layer, parts: _unmasked(layer),
    LULinear: lambda bijection, parts: _Matrix(bijection),
    MaskedAutoregressive: _Stepwise,
    Autoregressive: _Stepwise,
}
