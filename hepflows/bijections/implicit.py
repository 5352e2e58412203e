r"""Gradients through an inverse that was found without them: implicit differentiation.

Let :math:`x = f^{-1}(z; \theta, c)`, and let a loss hand back ``v`` for ``x`` and ``l`` for the log |det J| of the inverse, which is minus
that of ``f`` at ``x``. Then, with ``J`` the Jacobian of ``f`` and every derivative taken at the solution,

.. math:: J^\top g = v - l\, \frac{\partial\, \mathrm{ladj}}{\partial x}, \qquad
          \frac{\partial L}{\partial z} = g, \qquad
          \frac{\partial L}{\partial (\theta, c)} = - \frac{\partial}{\partial (\theta, c)} \big(g \cdot f + l\, \mathrm{ladj}\big) .

How ``x`` was found does not matter, and nothing of the way there is kept: only ``x`` and the context are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hepflows.bijections.conditioned import conditioned
from hepflows.bijections.univariate import Univariate
from hepflows.errors import DomainError
from hepflows.kernels.masked_solve import masked_solve
from hepflows.made import MADE
from hepflows.shapes import transformed

Invert = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]
"""``(z (N, D), context (N, C))`` to ``x`` and the ladj of the inverse, without gradients."""


def gradients_wanted(tensors: Iterable[Tensor | None]) -> bool:
    """Whether autograd records and one of ``tensors`` requires a gradient."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, ``module`` is in eval mode: an inverse needs the same function at every step, so no dropout."""
    changed = [part for part in module.modules() if part.training]
    for part in changed:
        part.training = False
    try:
        yield
    finally:
        for part in changed:
            part.training = True


def implicit_inverse(
    invert: Invert, univariate: Univariate, net: nn.Module, z: Tensor, context: Tensor | None
) -> tuple[Tensor, Tensor]:
    r"""``invert(z, context)``, with gradients where they are wanted.

    Args:
        invert: finds ``x`` with :math:`z_d = g(x_d; \theta_d)`, without gradients.
        univariate: the map ``g`` of one feature.
        net: the network that gives :math:`\theta`, in an order of the features; a `MADE` is solved in one backward sweep, any other
            network by Jacobi iteration.
        z: ``(N, D)`` latents.
        context: ``(N, C)`` or None.

    Returns:
        ``x`` ``(N, D)`` and the log |det J| of the inverse ``(N,)``. Their gradients cannot be differentiated again. Under a transform of
        `torch.func` the inverse takes one pass of the network a feature, and everything can be differentiated.
    """
    if not torch.is_grad_enabled() and not transformed(z, context):
        return invert(z, context)
    parts = _Parts(univariate, net)
    parameters = dict(parts.named_parameters())
    if transformed(z, context, *parameters.values()):
        with evaluating(net):
            return _textbook_inverse(univariate, net, z, context)
    if not gradients_wanted([z, context, *parameters.values()]):
        return invert(z, context)
    outputs: tuple[Tensor, Tensor] = _Implicit.apply(  # type: ignore[no-untyped-call]
        invert, parts, tuple(parameters), z, context, *parameters.values()
    )
    return outputs


def _textbook_inverse(
    univariate: Univariate, net: nn.Module, z: Tensor, context: Tensor | None
) -> tuple[Tensor, Tensor]:
    """One pass of the whole network a feature: slow, but made of nothing that a transform of `torch.func` could not follow."""
    x, ladj = z, z[:, 0]
    for _ in range(z.shape[1]):
        columns, ladj = conditioned(univariate, z.T, net, x, context, inverse=True)
        x = columns.T
    return x, ladj


class _Parts(nn.Module):
    """The map of one feature and the network, held together so that `functional_call` can put parameters into both."""

    def __init__(self, univariate: Univariate, net: nn.Module) -> None:
        super().__init__()
        self.univariate, self.net = univariate, net

    def forward(self, *arguments: Any) -> tuple[Tensor, Sequence[Tensor | None]]:
        return _pull_back(self.univariate, self.net, *arguments)


class _Implicit(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        invert: Invert,
        parts: _Parts,
        names: tuple[str, ...],
        z: Tensor,
        context: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        x, ladj = invert(z, context)
        ctx.parts, ctx.names = parts, names
        ctx.set_materialize_grads(False)
        # the parameters, too: torch then notices when they have changed, and `functional_call` may have lent them
        ctx.save_for_backward(x, context, *parameters)
        return x, ladj

    @staticmethod
    def backward(ctx: Any, v: Tensor | None, l: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: E741
        if v is None and l is None:
            return (None,) * len(ctx.needs_input_grad)
        x, context, *parameters = ctx.saved_tensors
        if context is not None:
            context = context.detach().requires_grad_(ctx.needs_input_grad[4])
        asked = [tensor is not None and tensor.requires_grad for tensor in (context, *parameters)]
        wanted = [tensor for tensor, asks in zip((context, *parameters), asked, strict=True) if asks]
        with torch.no_grad(), evaluating(ctx.parts):
            values = dict(zip(ctx.names, parameters, strict=True))
            g, gradients = functional_call(ctx.parts, values, (x.detach(), context, v, l, wanted))
        found = iter(gradients)
        answer = (g, *(next(found) if asks else None for asks in asked))
        if torch.is_grad_enabled():  # create_graph=True
            answer = _Once.apply(x, *answer)  # type: ignore[no-untyped-call]
        return None, None, None, *answer


class _Once(torch.autograd.Function):
    """Gradients that raise where they are differentiated again, instead of passing for constants."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return tuple(None if gradient is None else gradient.view_as(gradient) for gradient in gradients)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> None:
        message = "the gradients through this inverse cannot be differentiated again: take second derivatives of the forward direction"
        raise RuntimeError(message)


def _pull_back(
    univariate: Univariate,
    net: nn.Module,
    x: Tensor,
    context: Tensor | None,
    v: Tensor | None,
    l: Tensor | None,  # noqa: E741
    wanted: Sequence[Tensor],
) -> tuple[Tensor, Sequence[Tensor | None]]:
    """The gradients for ``z`` and for the ``wanted`` tensors."""
    columns = x.T
    shape = (len(columns), univariate.per_feature, len(x))
    before: list[Tensor] = []
    with torch.enable_grad():
        if isinstance(net, MADE):
            raw = net.output(net.last_hidden(x, context, before)).reshape(shape)
        else:
            x = x.requires_grad_()
            raw = net(x, context).T.reshape(shape)
    local = _Derivatives.of(univariate, columns, raw, l)
    side = (torch.zeros_like(columns) if v is None else v.T) - local.ladj_x
    if isinstance(net, MADE):
        g, c = masked_solve(net.staircase(), side, local.slope, local.weights, local.ladj_raw, _bends(net, before))
    else:
        g, c = _jacobi_solve(lambda c: _vector_jacobian(raw, x, c).T, side, local)
    if not wanted:
        return g.T, ()
    if isinstance(univariate, nn.Module) and any(True for _ in univariate.parameters()):  # these want gradients, too
        with torch.enable_grad():
            z, ladj = univariate.forward(columns.detach(), raw)
        outputs, seeds = [z, ladj], [g, torch.zeros_like(z) if l is None else l.expand_as(z)]
    else:
        outputs, seeds = [raw], [c]
    used = [(output, seed) for output, seed in zip(outputs, seeds, strict=True) if output.requires_grad]
    if not used:
        return g.T, [None] * len(wanted)
    gradients = torch.autograd.grad(
        [output for output, _ in used], wanted, [seed for _, seed in used], allow_unused=True
    )
    return g.T, [None if gradient is None else -gradient for gradient in gradients]


@dataclass(frozen=True)
class _Derivatives:
    """Derivatives of the map of one feature, at every feature of every event.

    Attributes:
        slope: ``(D, N)``, of ``z`` with respect to ``x``.
        weights: ``(D, P, N)``, of ``z`` with respect to the raw parameters.
        ladj_x: ``(D, N)``, of ``l * ladj`` with respect to ``x``, at fixed parameters.
        ladj_raw: ``(D, P, N)``, of ``l * ladj`` with respect to the raw parameters; None for zero.
    """

    slope: Tensor
    weights: Tensor
    ladj_x: Tensor | float
    ladj_raw: Tensor | None

    @classmethod
    def of(cls, univariate: Univariate, x: Tensor, raw: Tensor, l: Tensor | None) -> _Derivatives:  # noqa: E741
        x, raw = x.detach().requires_grad_(), raw.detach().requires_grad_()
        with torch.enable_grad():
            z, ladj = univariate.forward(x, raw)
        bent = l is not None and ladj.requires_grad
        (weights,) = torch.autograd.grad(
            z, raw, torch.ones_like(z), retain_graph=bent, allow_unused=True, materialize_grads=True
        )
        slope = (
            ladj.detach().exp()
        )  # not autograd's: a map that clamps has slope zero where x is beyond its edge by rounding
        if l is None or not bent:
            return cls(slope, weights, 0.0, None)
        seed = l.expand_as(ladj)
        return cls(
            slope, weights, *torch.autograd.grad(ladj, (x, raw), seed, allow_unused=True, materialize_grads=True)
        )


def _bends(made: MADE, before: Sequence[Tensor]) -> list[Tensor | None]:
    """The derivative of the activation after each hidden layer; none follows the last one of a residual network."""
    bends: list[Tensor | None] = []
    for index, values in enumerate(before):
        if made.residual and index == len(before) - 1:
            bends.append(None)
            continue
        leaf = values.detach().requires_grad_()
        with torch.enable_grad():
            activated = made.activation(leaf)
        bends.append(torch.autograd.grad(activated, leaf, torch.ones_like(activated))[0])
    return bends


def _vector_jacobian(outputs: Tensor, x: Tensor, c: Tensor) -> Tensor:
    """The gradient ``c`` at ``outputs`` taken back to ``x``; the graph stays."""
    if not outputs.requires_grad:
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(outputs, x, c, retain_graph=True, allow_unused=True, materialize_grads=True)
    return gradient


def _jacobi_solve(reaching: Callable[[Tensor], Tensor], side: Tensor, local: _Derivatives) -> tuple[Tensor, Tensor]:
    """Solve as `masked_solve` does, where nothing is known of the network but that it is autoregressive.

    After k iterations the last k features of the unknown order are exact; most often rounding is reached long before.
    """
    eps = torch.finfo(side.dtype).eps
    g = torch.zeros_like(side)
    change = scale = torch.zeros(())
    for _ in range(len(side) + 1):
        c = local.weights * g.unsqueeze(1)
        if local.ladj_raw is not None:
            c = c + local.ladj_raw
        better = (side - reaching(c)) / local.slope
        change, scale = (better - g).abs().amax(0), better.abs().amax(0)
        g = better
        if bool((change <= 4 * eps * scale).all()):
            break
    if bool((change > eps**0.5 * scale).any()):
        message = (
            f"the gradient through the inverse did not settle in {len(side) + 1} steps (it still changes by {change.max():.2g}): "
            "the parameters of a feature must depend on features before it only, and float64 helps where slopes are steep"
        )
        raise DomainError(message)
    return g, c
