"""A flow that learns to be another one, its teacher."""

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
    Univariate,
)
from hepflows.bijections.tracing import BLOCKS, parts
from hepflows.errors import ContextError, DomainError, ShapeError
from hepflows.flow import Flow
from hepflows.training.objectives import Objective


class Taught(Objective):
    r"""What the ways to distil a teacher into a student have in common; epochs are compared by the KL divergence of `kl`.

    Args:
        student: learns.
        teacher: **is put into eval mode and frozen**; it is not part of the objective's state, a checkpoint holds the student alone.

    Raises:
        ShapeError: the flows have different features.
        ContextError: they have different contexts.
    """

    teacher: Flow

    def __init__(self, student: Flow, teacher: Flow) -> None:
        super().__init__()
        if student.features != teacher.features:
            message = f"the student has {student.features} features and the teacher {teacher.features}: make them equal"
            raise ShapeError(message)
        if student.context_features != teacher.context_features:
            message = (
                f"the student has a context of width {student.context_features} and the teacher of {teacher.context_features}: "
                "make them equal"
            )
            raise ContextError(message)
        self.student = student
        self.__dict__["teacher"] = teacher.eval().requires_grad_(False)  # no submodule: stays out of state and train()

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Taught:
        self.teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

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


def check_blocks(student: Bijection, teacher: Bijection, *, compare_parameters: bool) -> None:
    """Raise `DomainError` unless the two are made of corresponding parts, of the same maps where their parameters are compared."""
    ours, theirs = list(parts(student)), list(parts(teacher))
    if len(ours) != len(theirs):
        message = (
            f"the student has {len(ours)} parts and the teacher {len(theirs)}: build it with student_of(teacher), "
            "or compare the ends alone by Distillation with intermediate=False and parameters=False"
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
                "or their parameters describe different maps: build the student with student_of(teacher), or compare the ends "
                "alone by Distillation with intermediate=False and parameters=False"
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
