"""The student of a masked autoregressive flow: a flow of the same maps whose samples take one pass."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from hepflows.bijections import Autoregressive, Bijection, Chain, Inverse, Inverted, MaskedAutoregressive
from hepflows.errors import DomainError
from hepflows.flow import Flow
from hepflows.made import MADE
from hepflows.widening import widened


def student_of(
    teacher: Flow,
    *,
    hidden: Sequence[int] | None = None,
    dropout: float | None = None,
    from_teacher: bool = True,
    seed: int = 0,
) -> Flow:
    r"""The flow that a masked autoregressive one is distilled into: its samples take one pass (arXiv:2110.11377).

    Each block :math:`z_d = g(x_d; \theta_d(x_{<d}, c))` of the teacher becomes :math:`x_d = g^{-1}(z_d; \theta_d(z_{<d}, c))` with a new
    network: its parameters describe the same map ``g``, in the same order of the features, and can be compared one by one. Everything else
    is copied: permutations and other bijections between the blocks, and the base density. `BlockDistillation` or `Distillation` trains it.

    The new network begins as the teacher's, with units added where it is wider: ``z`` in the place of ``x`` is the first step of the sweep
    that inverts the teacher, and much closer than the identity.

    Args:
        teacher: a flow with `MaskedAutoregressive` blocks.
        hidden: widths of the hidden layers; the teacher's where not given.
        dropout: in the hidden layers, in training; the teacher's where not given.
        from_teacher: begin as the teacher's networks; as the identity otherwise, with hidden layers of any number and width.
        seed: draws the initial weights.

    Raises:
        DomainError: the teacher has a block that no masked network can follow, or no block at all; or hidden layers that do not hold the
            teacher's where they shall.

    Example:
        >>> from hepflows.zoo import maf
        >>> teacher = maf(features=3, context_features=1, blocks=2, seed=0)
        >>> student = student_of(teacher, hidden=(96, 96), seed=1)
        >>> student.sample(5, torch.zeros(2, 1), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([5, 2, 3])
    """
    if not any(isinstance(part, MaskedAutoregressive) for part in teacher.modules()):
        message = (
            "a student follows a teacher with MaskedAutoregressive blocks, but this one has none: build it with maf"
        )
        raise DomainError(message)
    generator = torch.Generator().manual_seed(seed)

    def follow(bijection: Bijection) -> Bijection:
        if isinstance(bijection, Chain):
            return Chain([follow(part) for part in bijection._parts])
        if isinstance(bijection, Autoregressive):
            message = "the network of an Autoregressive block can be any and has no student: use MaskedAutoregressive"
            raise DomainError(message)
        if not isinstance(bijection, MaskedAutoregressive):
            return copy.deepcopy(bijection)
        made, univariate = bijection.made, Inverted(copy.deepcopy(bijection.univariate))
        widths = [len(degrees) for degrees in made.degrees] if hidden is None else hidden
        chance = made.dropout if dropout is None else dropout
        if from_teacher:
            new = widened(made, widths, dropout=chance, generator=generator)
        else:
            new = MADE(
                made.features,
                made.per_feature,
                widths,
                context_features=made.context_features,
                activation=made.activation,
                residual=made.residual,
                dropout=chance,
                generator=generator,
            )
            new.start_at(univariate.identity())
        return Inverse(MaskedAutoregressive(univariate, new.to(made.output.weight)))

    return Flow(follow(teacher.bijection), copy.deepcopy(teacher.base))
