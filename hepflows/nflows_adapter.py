"""The one file that knows nflows (Durkan et al., arXiv:1906.04032): its models become ours, our bijections its transforms.

``docs/howto/from_nflows.md`` lists what is converted; what cannot be is named in a `DomainError`. A class is known by its name
inside nflows; a subclass that changes more than the constructor is not, for what it computes cannot be seen from here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from hepflows.bases import Gaussian
from hepflows.bijections import (
    BatchNorm,
    Bijection,
    Chain,
    Coupling,
    Elementwise,
    Inverse,
    LULinear,
    MaskedAutoregressive,
    Permutation,
    Standardize,
)
from hepflows.flow import Flow
from hepflows.nflows_maps import (
    Map,
    coupling_affine_map,
    linear_map,
    masked_affine_map,
    quadratic_map,
    rational_map,
    shift_map,
)
from hepflows.nflows_networks import ConstantNet, made_from_nflows, net_from_nflows, nflows_name, unknown


def from_nflows(model: nn.Module, *, context_features: int | None = None) -> Any:
    """An nflows ``Flow`` to a native `Flow`, an nflows ``Transform`` to a native `Bijection`, weights included.

    The result has the dtype, the device and the mode (training or not) of the model and shares no memory with it.

    Args:
        model: the model; it is left as it is.
        context_features: width of the context, where only a network of your own inside a coupling knows it.

    Raises:
        DomainError: a part cannot be converted; the message names it.

    Example:
        >>> from nflows.transforms import MaskedPiecewiseRationalQuadraticAutoregressiveTransform as Spline
        >>> theirs = Spline(3, 16, num_bins=8, tails="linear", tail_bound=5.0)
        >>> ours = from_nflows(theirs)
        >>> x = torch.linspace(-2, 2, 6).view(2, 3)
        >>> bool(torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-5))
        True
    """
    is_flow = nflows_name(model, {"Flow"}) is not None
    transform: Any = model._transform if is_flow else model
    width = _context_width(transform) if context_features is None else context_features
    converter = _Converter(_features(transform), width)
    if not is_flow:
        return _finish(converter(transform), model)
    base: Any = model._distribution
    embedding: Any = model._embedding_net
    if nflows_name(base, {"StandardNormal"}) is None or len(base._shape) != 1:
        raise unknown(base, "only a StandardNormal of one axis is")
    if not isinstance(embedding, nn.Identity):
        raise unknown(embedding, "a flow has no embedding net: convert it without, and embed the context yourself")
    converter.features = base._shape[0]
    bijection = converter(transform)
    return _finish(Flow(bijection, Gaussian(bijection.features).train(base.training)), model)


def to_nflows(bijection: Bijection) -> nn.Module:
    """A native bijection as an nflows ``Transform``, for code that still runs on nflows; the weights are shared.

    Example:
        >>> from hepflows import Permutation
        >>> to_nflows(Permutation([1, 0])).inverse(torch.tensor([[3.0, 4.0]]))
        (tensor([[4., 3.]]), tensor([0.]))
    """
    from nflows.transforms.base import Transform

    class NativeTransform(Transform):  # type: ignore[misc]
        """forward and inverse in nflows' signature; a context that the bijection does not use is ignored, as everywhere there."""

        def __init__(self) -> None:
            super().__init__()
            self.bijection = bijection

        def _used(self, context: Tensor | None) -> Tensor | None:
            return context if self.bijection.context_features else None

        def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.bijection(inputs, self._used(context))  # type: ignore[no-any-return]

        def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return self.bijection.inverse(inputs, self._used(context))

    return NativeTransform()


def _features(transform: nn.Module) -> int | None:
    """The number of features, from the first part that knows it."""
    for module in transform.modules():
        for name in ("_permutation", "unconstrained_weight", "unnormalized_pdf", "unnormalized_widths"):
            if isinstance(getattr(module, name, None), Tensor):
                return len(getattr(module, name))
        for holder, name in ((module, "features"), (getattr(module, "initial_layer", None), "in_features")):
            if isinstance(getattr(holder, name, None), int):
                return int(getattr(holder, name))
    return None


def _context_width(transform: nn.Module) -> int:
    """The width of the context, from the first part that knows it; zero where none does."""
    for module in transform.modules():
        layer = getattr(module, "context_layer", None)
        width = layer.in_features if isinstance(layer, nn.Linear) else getattr(module, "context_features", None)
        if isinstance(width, int) and width:
            return width
    return 0


def _finish(ours: nn.Module, theirs: nn.Module) -> nn.Module:
    """Dtype and device of the model; the constant of its base, float64 in every model, says nothing about the dtype."""
    tensors = [*theirs.parameters(), *getattr(theirs, "_transform", theirs).buffers()]
    dtype = next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), None)
    ours.training = theirs.training
    return ours.to(next((tensor.device for tensor in tensors), None), dtype)


@dataclass
class _Converter:
    """Converts one transform after the other; one that stands in two places stays one."""

    features: int | None
    context: int
    done: dict[int, Bijection] = field(default_factory=dict)

    def __call__(self, transform: Any) -> Bijection:
        if id(transform) not in self.done:
            self.done[id(transform)] = self._convert(transform)
        return self.done[id(transform)]

    def _convert(self, transform: Any) -> Bijection:
        if isinstance(getattr(transform, "bijection", None), Bijection):  # made by to_nflows
            return copy.deepcopy(cast("Bijection", transform.bijection))
        name = nflows_name(transform, _CONVERTERS)
        if name is None:
            raise unknown(transform)
        ours = _CONVERTERS[name](transform, self)
        if name in ("CompositeTransform", "InverseTransform"):
            ours.training = transform.training
            return ours
        if not any(parameter.requires_grad for parameter in transform.parameters()):
            ours.requires_grad_(requires_grad=False)
        return ours.train(transform.training)

    def width(self, part: object) -> int:
        """The number of features, for a part that does not say."""
        if self.features is None:
            raise unknown(part, "nothing says how many features it has: convert the flow that it is part of")
        return self.features


def _permutation(transform: Any, _: _Converter) -> Bijection:
    if transform._dim != 1:
        raise unknown(transform, f"it permutes axis {transform._dim} and not the features")
    return Permutation(transform._permutation.tolist())


def _affine(transform: Any, converter: _Converter) -> Bijection:
    shift, scale = transform._shift, transform._scale
    features = max(shift.numel(), scale.numel())
    features = converter.width(transform) if features == 1 else features
    return Inverse(Standardize(*(value.double().reshape(-1).expand(features).clone() for value in (shift, scale))))


def _lu(transform: Any, _: _Converter) -> Bijection:
    ours = LULinear(transform.features, transform.eps).to(transform.bias)
    with torch.no_grad():
        ours.lower[tuple(transform.lower_indices)] = transform.lower_entries
        ours.upper[tuple(transform.upper_indices)] = transform.upper_entries
        ours.diagonal.copy_(transform.unconstrained_upper_diag)
        ours.bias.copy_(transform.bias)
    return ours


def _batch_norm(transform: Any, _: _Converter) -> Bijection:
    ours = BatchNorm(len(transform.bias), transform.eps, transform.momentum).to(transform.bias)
    names = {
        "raw_weight": "unconstrained_weight",
        "bias": "bias",
        "running_mean": "running_mean",
        "running_var": "running_var",
    }
    ours.load_state_dict({name: getattr(transform, theirs) for name, theirs in names.items()})
    return ours


MakeMap = Callable[[Any, int], Map]


def _autoregressive(transform: Any, _: _Converter, make: MakeMap) -> Bijection:
    mapping = make(transform, getattr(transform, "num_bins", 0))
    return MaskedAutoregressive(mapping.univariate, made_from_nflows(transform.autoregressive_net, mapping.rows))


def _coupling(transform: Any, converter: _Converter, make: MakeMap) -> Bijection:
    mapping = make(transform, getattr(transform, "num_bins", 0))
    mask = torch.zeros(transform.features, dtype=torch.bool)
    mask[transform.transform_features.cpu()] = True
    net, context = net_from_nflows(transform.transform_net, int(mask.sum()), mapping.rows, converter.context)
    ours = Coupling(mapping.univariate, mask, context, net=net)
    if transform.unconditional_transform is None:
        return ours
    others = converter(transform.unconditional_transform)
    if not isinstance(others, Elementwise):
        raise unknown(transform.unconditional_transform)
    return Chain([ours, Coupling(others.univariate, ~mask, net=ConstantNet(others.raw))])


def _elementwise(transform: Any, _: _Converter, make: MakeMap) -> Bijection:
    names = ("unnormalized_pdf", "unnormalized_widths", "unnormalized_heights", "unnormalized_derivatives")
    parts = [getattr(transform, name).detach() for name in names if hasattr(transform, name)]
    raw = torch.cat(parts, -1)
    if raw.ndim != 2:
        raise unknown(transform, f"its features have {raw.ndim - 1} axes and not one")
    ours = Elementwise(make(transform, parts[0].shape[-1]).univariate, len(raw))
    ours.raw = nn.Parameter(raw)
    return ours


_SPLINES: dict[str, MakeMap] = {
    "PiecewiseLinear": linear_map,
    "PiecewiseQuadratic": quadratic_map,
    "PiecewiseRationalQuadratic": rational_map,
}
_CONVERTERS: dict[str, Callable[[Any, _Converter], Bijection]] = {
    "CompositeTransform": lambda transform, convert: Chain([convert(part) for part in transform._transforms]),
    "InverseTransform": lambda transform, convert: Inverse(convert(transform._transform)),
    "IdentityTransform": lambda transform, convert: Permutation(range(convert.width(transform))),
    "Permutation": _permutation,
    "PointwiseAffineTransform": _affine,
    "LULinear": _lu,
    "BatchNorm": _batch_norm,
    "MaskedAffineAutoregressiveTransform": partial(_autoregressive, make=masked_affine_map),
    "AffineCouplingTransform": partial(_coupling, make=coupling_affine_map),
    "AdditiveCouplingTransform": partial(_coupling, make=shift_map),
    **{f"Masked{name}AutoregressiveTransform": partial(_autoregressive, make=make) for name, make in _SPLINES.items()},
    **{f"{name}CouplingTransform": partial(_coupling, make=make) for name, make in _SPLINES.items()},
    **{f"{name}CDF": partial(_elementwise, make=make) for name, make in _SPLINES.items()},
}
