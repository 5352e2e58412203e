"""The one file that knows nflows (Durkan et al., arXiv:1906.04032): its models become ours, our bijections its transforms.

Converted so far: ``CompositeTransform``, ``InverseTransform``, permutations, ``LULinear``, the masked autoregressive and the
coupling rational-quadratic spline transform with linear tails, and the feed-forward MADE. What cannot be converted is named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.bases import Gaussian
from hepflows.bijections import (
    Bijection,
    Chain,
    Coupling,
    Inverse,
    LULinear,
    MaskedAutoregressive,
    Permutation,
    RationalQuadraticSpline,
)
from hepflows.errors import DomainError
from hepflows.flow import Flow
from hepflows.made import MADE
from hepflows.nets import Linear


def from_nflows(model: nn.Module) -> Any:
    """An nflows ``Flow`` to a native `Flow`, an nflows ``Transform`` to a native `Bijection`, weights included.

    Raises:
        DomainError: a part cannot be converted; the message names it.

    Example:
        >>> from nflows.transforms import MaskedPiecewiseRationalQuadraticAutoregressiveTransform as Spline
        >>> theirs = Spline(3, 16, num_bins=8, tails="linear", tail_bound=5.0, use_residual_blocks=False)
        >>> ours = from_nflows(theirs)
        >>> x = torch.linspace(-2, 2, 6).view(2, 3)
        >>> bool(torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-5))
        True
    """
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow as TheirFlow

    if not isinstance(model, TheirFlow):
        return _bijection(model)
    if not isinstance(model._distribution, StandardNormal):
        raise _unknown(model._distribution)
    if not isinstance(model._embedding_net, nn.Identity):
        raise _unknown(model._embedding_net)
    bijection = _bijection(model._transform)
    return Flow(bijection, Gaussian(bijection.features)).to(next(model.parameters()))


def to_nflows(bijection: Bijection) -> nn.Module:
    """A native bijection as an nflows ``Transform``, for code that still runs on nflows."""
    from nflows.transforms.base import Transform

    class NativeTransform(Transform):  # type: ignore[misc]
        """forward and inverse in nflows' signature; the weights are shared."""

        def __init__(self) -> None:
            super().__init__()
            self.bijection = bijection

        def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return bijection(inputs, context)  # type: ignore[no-any-return]

        def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
            return bijection.inverse(inputs, context)

    return NativeTransform()


def _bijection(transform: Any) -> Bijection:
    """Convert one transform; its class decides how."""
    for kind in type(transform).__mro__:
        convert = _CONVERTERS.get(kind.__name__)
        if convert is not None:
            parameter = next(transform.parameters(), None)
            ours = convert(transform)
            return ours if parameter is None else ours.to(parameter.device, parameter.dtype)
    raise _unknown(transform)


def _unknown(part: object) -> DomainError:
    return DomainError(
        f"nflows' {type(part).__name__} cannot be converted yet: rebuild this part with hepflows.bijections"
    )


def _chain(transform: Any) -> Bijection:
    return Chain([_bijection(part) for part in transform._transforms])


def _inverse(transform: Any) -> Bijection:
    return Inverse(_bijection(transform._transform))


def _permutation(transform: Any) -> Bijection:
    return Permutation(transform._permutation)


def _lu(transform: Any) -> Bijection:
    ours = LULinear(transform.features, transform.eps)
    with torch.no_grad():
        ours.lower[tuple(transform.lower_indices)] = transform.lower_entries.to(ours.lower)
        ours.upper[tuple(transform.upper_indices)] = transform.upper_entries.to(ours.upper)
        ours.diagonal.copy_(transform.unconstrained_upper_diag)
        ours.bias.copy_(transform.bias)
    return ours


def _spline(transform: Any) -> RationalQuadraticSpline:
    minima = {transform.min_bin_width, transform.min_bin_height, transform.min_derivative}
    if transform.tails != "linear" or len(minima) > 1:
        message = "only nflows splines with tails='linear' and equal minimum bin width, height and derivative can be converted"
        raise DomainError(message)
    return RationalQuadraticSpline(transform.num_bins, transform.tail_bound, minimum=minima.pop())


def _autoregressive(transform: Any) -> Bijection:
    return MaskedAutoregressive(_spline(transform), _made(transform.autoregressive_net))


def _made(net: Any) -> MADE:
    """The same network with the units of every layer in ascending order of degree."""
    if any(isinstance(module, nn.BatchNorm1d) for module in net.modules()):
        message = "nflows' MADE with batch norm cannot be converted yet: use use_batch_norm=False"
        raise DomainError(message)
    blocks = [block.linear_layers if net.use_residual_blocks else [block.linear] for block in net.blocks]
    layers = [net.initial_layer, *(layer for block in blocks for layer in block)]
    features = net.initial_layer.in_features
    orders = [torch.argsort(layer.degrees, stable=True) for layer in layers]
    made = MADE(
        features,
        net.final_layer.out_features // features,
        [layer.out_features for layer in layers],
        activation=net.activation,
        residual=net.use_residual_blocks,
        dropout=net.blocks[0].dropout.p if len(net.blocks) else 0.0,
        degrees=[layer.degrees[order] for layer, order in zip(layers, orders, strict=True)],
    )
    columns: Tensor | slice = slice(None)
    for ours, theirs, order in zip(made.layers, layers, orders, strict=True):
        ours.load_state_dict({"weight": theirs.weight[order][:, columns], "bias": theirs.bias[order]})
        columns = order
    made.output.load_state_dict({"weight": net.final_layer.weight[:, columns], "bias": net.final_layer.bias})
    if hasattr(net, "context_layer"):
        made.context_features = net.context_layer.in_features
        made.context_terms["0"] = _context_layer(net.context_layer, orders[0], net.activation)
        if net.use_residual_blocks:
            for index, block in enumerate(net.blocks):
                made.context_terms[str(2 * index + 1)] = _context_layer(block.context_layer, orders[2 * index + 1])
    return made


def _context_layer(layer: nn.Linear, order: Tensor, activation: Callable[[Tensor], Tensor] | None = None) -> nn.Module:
    """What nflows' MADE adds to a hidden layer: activation(linear(context)) to the first, linear(context) to a block."""
    ours = _ContextLayer(layer.in_features, layer.out_features, activation)
    ours.load_state_dict({"weight": layer.weight[order], "bias": layer.bias[order]})
    return ours


class _ContextLayer(Linear):
    def __init__(self, inputs: int, outputs: int, activation: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__(inputs, outputs)
        self.activation = activation

    def forward(self, context: Tensor) -> Tensor:
        outputs = super().forward(context)
        return outputs if self.activation is None else self.activation(outputs)


def _coupling(transform: Any) -> Bijection:
    if transform.unconditional_transform is not None:
        raise _unknown(transform.unconditional_transform)
    spline = _spline(transform)
    mask = torch.zeros(transform.features, dtype=torch.bool)
    mask[transform.transform_features] = True
    net = _ScaledNet(transform.transform_net, spline, len(transform.transform_features))
    context_layer = getattr(transform.transform_net, "initial_layer", None)
    width = context_layer.in_features - len(transform.identity_features) if context_layer is not None else 0
    return Coupling(spline, mask, width, net=net)


class _ScaledNet(nn.Module):
    """An nflows conditioner; nflows divides the logits of widths and heights by the root of its hidden width."""

    scale: Tensor

    def __init__(self, net: nn.Module, spline: RationalQuadraticSpline, mapped: int) -> None:
        super().__init__()
        self.net, self.mapped = net, mapped
        scale = torch.ones(spline.per_feature)
        hidden = getattr(net, "hidden_features", None)
        if hidden is not None:
            scale[: 2 * spline.bins] = hidden**-0.5
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        parameters: Tensor = self.net(x, context)
        return (parameters.view(len(x), self.mapped, -1) * self.scale).reshape(len(x), -1)


_CONVERTERS: dict[str, Callable[[Any], Bijection]] = {
    "CompositeTransform": _chain,
    "InverseTransform": _inverse,
    "Permutation": _permutation,
    "LULinear": _lu,
    "MaskedPiecewiseRationalQuadraticAutoregressiveTransform": _autoregressive,
    "PiecewiseRationalQuadraticCouplingTransform": _coupling,
}
