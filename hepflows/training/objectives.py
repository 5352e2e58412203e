"""What is minimised: modules that return a scalar, or the two sums that it is made of, so that processes can share a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.errors import TrainingError
from hepflows.flow import Flow

Sums = tuple[Tensor, Tensor | int]
"""Numerator and denominator of a loss, sums over the events of a batch."""


class Objective(nn.Module):
    """A loss, and what else the training loop needs to know about it.

    `hepflows.fit` takes any module that maps a batch to a scalar, the mean over its events. One that draws random numbers, is judged by
    something else than its loss, changes with the epochs, or holds a second network with an optimiser of its own derives from this class
    and overrides what differs. It is called as ``objective(*batch, generator=generator)``.

    All randomness comes from that ``generator``. The loop makes a new one for each epoch, and the same one for every validation: a training
    repeats, and one that was interrupted goes on as if nothing had been.

    >>> class Shifted(Objective):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.mean = nn.Parameter(torch.zeros(1))
    ...     def forward(self, x, *, generator):
    ...         return (x + torch.randn(x.shape, generator=generator) - self.mean).square().mean()
    >>> Shifted()(torch.zeros(4, 1), generator=torch.Generator().manual_seed(0)).shape
    torch.Size([])
    """

    auxiliary_rate: float = 1e-3
    """Learning rate of Adam for the auxiliary parameters."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """A loss that is overridden does not keep the sums of the one before."""
        super().__init_subclass__(**keywords)
        for loss, sums in (("forward", "sums"), ("auxiliary_loss", "auxiliary_sums")):
            if loss in vars(cls) and sums not in vars(cls):
                setattr(cls, sums, getattr(Objective, sums))

    def sums(self, *batch: Any, **generator: Any) -> Sums:
        """The loss as numerator and denominator, each a sum over the events, so that several processes can share a batch.

        What the loop minimises; a class that overrides it gives their quotient as its loss. The denominator does not depend on what is
        learnt. Where not overridden, the loss is taken as what it has to be, the mean over the events: this is their number times it,
        and their number.
        """
        loss: Tensor = self(*batch, **generator)
        return loss * len(batch[0]), len(batch[0])

    def validation(self, *batch: Any, **generator: Any) -> Tensor:
        """The number that compares epochs, a mean over the events of the batch, the lower the better: the loss where not overridden."""
        loss: Tensor = self(*batch, **generator)
        return loss

    def begin_epoch(self, epoch: int) -> None:
        """Called before each epoch, counted from 0: what changes with the epochs is set here."""

    def auxiliary_parameters(self) -> list[nn.Parameter]:
        """Parameters that follow `auxiliary_loss` instead of the loss, by a step of their own before each batch."""
        return []

    def auxiliary_loss(self, *batch: Any, **generator: Any) -> Tensor | None:
        """What the auxiliary parameters minimise, or None for no step."""
        return None

    def auxiliary_sums(self, *batch: Any, **generator: Any) -> Sums | None:
        """The auxiliary loss as numerator and denominator, see `sums`."""
        loss = self.auxiliary_loss(*batch, **generator)
        return None if loss is None else (loss * len(batch[0]), len(batch[0]))


class _Plain(Objective):
    """A module that is nothing but a loss."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *batch: Tensor, generator: torch.Generator) -> Tensor:
        loss: Tensor = self.module(*batch)
        return loss


def as_objective(module: nn.Module) -> Objective:
    """An objective as it is; another module as the loss that it returns."""
    return module if isinstance(module, Objective) else _Plain(module)


def learnt_parameters(module: nn.Module, *, apart: Iterable[nn.Parameter]) -> dict[str, nn.Parameter]:
    """The parameters of an objective that are not frozen, by name, but for those with an optimiser of their own.

    Raises:
        TrainingError: there is none.
    """
    other = {id(parameter) for parameter in apart}
    named = module.named_parameters()
    learnt = {name: one for name, one in named if one.requires_grad and id(one) not in other}
    if not learnt:
        message = "no parameter is to be learnt: all are frozen, as distillation leaves its teacher; requires_grad_(True) thaws them"
        raise TrainingError(message)
    return learnt


class MaximumLikelihood(Objective):
    r"""Negative mean log-likelihood, :math:`-\sum_i w_i \log p(x_i | c_i) / \sum_i |w_i|`.

    Events of negative weight count against the others. The sum of the sizes below is not zero in any batch, and its sign never turns the
    gradient around.

    Args:
        flow: the flow that is fitted.

    Example:
        >>> from hepflows.zoo import maf
        >>> MaximumLikelihood(maf(2, seed=0))(torch.zeros(4, 2)).shape
        torch.Size([])
    """

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self.flow = flow

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        numerator, denominator = MaximumLikelihood.sums(self, x, context, weights)
        return numerator / denominator

    def sums(
        self,
        x: Tensor,
        context: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Sums:
        log_prob = self.flow.log_prob(x, context)
        if weights is None:
            return -log_prob.sum(), log_prob.numel()
        return -(weights * log_prob).sum(), weights.abs().sum()
