"""Distillation: a flow that is fast to sample learns to be the flow that was fast to train."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.bijections import (
    Autoregressive,
    Bijection,
    Coupling,
    Inverted,
    MaskedAutoregressive,
    Permutation,
    Trace,
    Univariate,
    trace,
)
from hepflows.bijections.tracing import BLOCKS, parts
from hepflows.errors import ContextError, DomainError, ShapeError
from hepflows.flow import Flow
from hepflows.training.objectives import Objective


class Distillation(Objective):
    r"""Probability density distillation of a teacher into a student, without the gradient of a KL (arXiv:2110.11377).

    With ``f`` the maps from data to latents of the teacher and of the student, ``F`` and ``G``,

    .. math:: L &= (1 - \beta) L_z + \beta L_x \\
              L_x &= \big\langle |x' - x|^2 + \lambda_v \textstyle\sum_b |v_b - v'_b|^2 + \lambda_\theta \sum_b |\theta_b - \theta'_b|^2
                     \big\rangle, \quad x' = G^{-1}(F(x; c); c), \\
              L_z &= \big\langle |z' - z|^2 + \lambda_v \textstyle\sum_b |v_b - v'_b|^2 + \lambda_\theta \sum_b |\theta_b - \theta'_b|^2
                     \big\rangle, \quad z' = F(G^{-1}(z; c_z); c_z),

    where the brackets are means over the batch of data ``x`` and over as many draws ``z`` of the student's base density, :math:`v_b` is
    what stands between the blocks and :math:`\theta_b` are the raw parameters that the network of each block gave, in teacher and
    student. Both directions take one pass of each network where the teacher is a MAF and the student `hepflows.student_of` it.

    Epochs are compared by the KL divergence of `kl`, in expectation over ``z``.

    Args:
        student: learns; `hepflows.student_of` builds one.
        teacher: **is put into eval mode and frozen**; it is not part of the objective's state, a checkpoint holds the student alone.
        beta: share of the loss on data.
        intermediate: weight :math:`\lambda_v`, zero or False for none.
        parameters: weight :math:`\lambda_\theta`, zero or False for none.

    Raises:
        ShapeError: the flows have different features.
        ContextError: they have different contexts.
        DomainError: ``beta`` or a weight is out of range, or blocks do not correspond although they shall be compared.

    Example:
        >>> from hepflows.zoo import maf, student_of
        >>> teacher = maf(2, seed=0)
        >>> objective = Distillation(student_of(teacher, seed=1), teacher)
        >>> objective(torch.zeros(4, 2), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([])
    """

    teacher: Flow

    def __init__(
        self, student: Flow, teacher: Flow, beta: float = 0.5, intermediate: float = True, parameters: float = True
    ) -> None:
        super().__init__()
        if not 0 <= beta <= 1 or not intermediate >= 0 or not parameters >= 0:
            message = (
                "a Distillation needs beta between 0 and 1 and weights that are not negative, "
                f"got beta={beta}, intermediate={intermediate}, parameters={parameters}"
            )
            raise DomainError(message)
        if student.features != teacher.features:
            message = f"the student has {student.features} features and the teacher {teacher.features}: make them equal"
            raise ShapeError(message)
        if student.context_features != teacher.context_features:
            message = (
                f"the student has a context of width {student.context_features} and the teacher of {teacher.context_features}: "
                "make them equal"
            )
            raise ContextError(message)
        if intermediate or parameters:
            _check_blocks(student.bijection, teacher.bijection, compare_parameters=bool(parameters))
        self.student, self.beta = student, beta
        self.intermediate, self.parameters_weight = float(intermediate), float(parameters)
        self.__dict__["teacher"] = teacher.eval().requires_grad_(False)  # no submodule: stays out of state and train()

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Distillation:
        self.teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def forward(
        self, x: Tensor, context: Tensor | None = None, z_context: Tensor | None = None, *, generator: torch.Generator
    ) -> Tensor:
        """The loss.

        Args:
            x: ``(N, D)`` data.
            context: ``(N, C)`` of the data.
            z_context: ``(N, C)`` of the draws; that of the data where not given.
            generator: draws ``z``.
        """
        z_context = context if z_context is None else z_context
        loss = x.new_zeros(())
        if self.beta > 0:
            with torch.no_grad():
                there = trace(self.teacher.bijection, x, context)
            back = trace(self.student.bijection, there.value, context, inverse=True)
            loss = loss + self.beta * self._distance(back.value - x, back, there)
        if self.beta < 1:
            z = self.student.base.sample(len(x if z_context is None else z_context), generator)
            there = trace(self.student.bijection, z, z_context, inverse=True)
            back = trace(self.teacher.bijection, there.value, z_context)
            loss = loss + (1 - self.beta) * self._distance(back.value - z, back, there)
        return loss

    def _distance(self, miss: Tensor, one: Trace, other: Trace) -> Tensor:
        """Mean over events of the squared misses of a round trip and of the blocks on the way."""
        total = miss.square().sum(-1)
        for weight, name in ((self.intermediate, "latents"), (self.parameters_weight, "parameters")):
            pairs = list(zip(one.blocks, other.blocks, strict=True)) if weight else []
            # what follows the last block is the round trip's own end
            for a, b in pairs[:-1] if name == "latents" else pairs:
                total = total + weight * (getattr(a, name) - getattr(b, name)).square().sum(-1)
        return total.mean()

    def kl(self, n: int | tuple[int, ...], context: Tensor | None = None, *, generator: torch.Generator) -> Tensor:
        r"""Estimate of :math:`\mathrm{KL}(q \| p) = \langle \log q(x|c) - \log p(x|c) \rangle_{x \sim q}`, student q, teacher p, in nats.

        Args:
            n: draws for each row of the context.
            context: ``(*batch, C)`` or None.
            generator: draws ``x``.
        """
        with torch.no_grad():
            x, log_q = self.student.sample_and_log_prob(n, context, generator=generator)
            return (log_q - self.teacher.log_prob(x, context)).mean()

    def validation(
        self, x: Tensor, context: Tensor | None = None, z_context: Tensor | None = None, *, generator: torch.Generator
    ) -> Tensor:
        """The KL divergence, from one draw for each event of the batch."""
        z_context = context if z_context is None else z_context
        return self.kl(len(x) if z_context is None else (), z_context, generator=generator)


def _check_blocks(student: Bijection, teacher: Bijection, *, compare_parameters: bool) -> None:
    """Raise `DomainError` unless the two are made of corresponding parts."""
    ours, theirs = list(parts(student)), list(parts(teacher))
    if len(ours) != len(theirs):
        message = (
            f"the student has {len(ours)} parts and the teacher {len(theirs)}: build it with student_of(teacher), "
            "or compare the ends alone with intermediate=False and parameters=False"
        )
        raise DomainError(message)
    for index, ((mine, flipped), (its, its_flipped)) in enumerate(zip(ours, theirs, strict=True)):
        if isinstance(mine, BLOCKS) and isinstance(its, BLOCKS):
            same = not compare_parameters or _described(mine, flipped) == _described(its, its_flipped)
        elif isinstance(mine, Permutation) and isinstance(its, Permutation):
            same = torch.equal(
                mine.inverse_order if flipped else mine.order, its.inverse_order if its_flipped else its.order
            )
        else:
            same = type(mine) is type(its)
        if not same:
            message = (
                f"part {index + 1} of the student, {type(mine).__name__}, does not correspond to the teacher's, {type(its).__name__}, "
                "or their parameters describe different maps: build the student with student_of(teacher), or set "
                "intermediate=False and parameters=False"
            )
            raise DomainError(message)


def _described(block: MaskedAutoregressive | Autoregressive | Coupling, flipped: bool) -> tuple[object, ...]:
    """Which map from data to latents the parameters of a block describe, and of which features."""
    univariate, backwards = block.univariate, flipped
    while isinstance(univariate, Inverted):
        univariate, backwards = univariate.univariate, not backwards
    mapped = block.mapped.tolist() if isinstance(block, Coupling) else None
    return backwards, mapped, type(univariate), univariate.per_feature, _settings(univariate)


def _settings(univariate: Univariate) -> dict[str, object]:
    return {} if isinstance(univariate, nn.Module) else vars(univariate)
