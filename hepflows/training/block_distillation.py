"""Distillation block by block: each block of a student learns at the latents of its teacher."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hepflows.bijections import Bijection, MaskedAutoregressive, trace
from hepflows.bijections.conditioned import mapped_by
from hepflows.bijections.tracing import BLOCKS, parts
from hepflows.errors import DomainError
from hepflows.flow import Flow
from hepflows.training.taught import Taught, check_blocks


class BlockDistillation(Taught):
    r"""Each block of the student learns the conditional densities of the teacher's, at draws of the teacher.

    The teacher draws ``x`` with all that stands between its blocks. Block ``b`` maps its data ``u`` to its latents ``v`` one by one,
    :math:`v_d = g(u_d; \theta_d(u_{<d}, c))` in the teacher and :math:`g'(u_d; \theta'_d(v_{<d}, c))` in the student, whose network
    sees the teacher's own latents. With the standard normal density :math:`\varphi`,

    .. math:: \delta_{bd} = \log \big[\varphi\big(g'(u_d)\big)\, g'_{,u}(u_d)\big] - \log \big[\varphi\big(g(u_d)\big)\, g_{,u}(u_d)\big] ,
              \qquad L = \Big\langle \textstyle\sum_{bd} h(\delta_{bd}) \Big\rangle ,

    ``h`` being Huber's loss: half the square up to one, linear beyond. The mean of :math:`\delta^2 / 2` is the KL divergence of the
    two conditional densities to leading order where ``v`` is normal, so that the loss counts nats, as the squared differences of
    `Distillation` do not; at its minimum it has no noise; no gradient passes through another block, and a step costs
    that of a likelihood and two passes of the teacher. Start the student as `hepflows.student_of` does, from the teacher's networks.

    Epochs are compared by the KL divergence of `kl`, of the student on its own.

    Args:
        student: learns; `hepflows.student_of` builds one.
        teacher: of `MaskedAutoregressive` blocks. **It is put into eval mode and frozen**; it is not part of the objective's state.

    Raises:
        ShapeError: the flows have different features.
        ContextError: they have different contexts.
        DomainError: their blocks do not correspond.

    Example:
        >>> from hepflows.student import student_of
        >>> from hepflows.zoo import maf
        >>> teacher = maf(2, seed=0)
        >>> objective = BlockDistillation(student_of(teacher, seed=1), teacher)
        >>> objective(torch.zeros(4, 2), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([])
    """

    def __init__(self, student: Flow, teacher: Flow) -> None:
        super().__init__(student, teacher)
        check_blocks(student.bijection, teacher.bijection, compare_parameters=False)
        self._pairs = list(
            zip(_masked(student.bijection, sees="latents"), _masked(teacher.bijection, sees="data"), strict=True)
        )

    def forward(
        self, x: Tensor, context: Tensor | None = None, z_context: Tensor | None = None, *, generator: torch.Generator
    ) -> Tensor:
        """The loss, at as many draws of the teacher as there are contexts.

        Args:
            x: ``(N, D)`` data; only their number is used, and that where there is no context.
            context: ``(N, C)`` of the draws.
            z_context: ``(M, C)`` of the draws instead.
            generator: draws the latents.
        """
        context = context if z_context is None else z_context
        with torch.no_grad():
            z = self.teacher.base.sample(len(x if context is None else context), generator)
            draws = trace(self.teacher.bijection, z, context, inverse=True)
        loss = x.new_zeros(())
        for (mine, its), block in zip(self._pairs, draws.blocks, strict=True):
            given = context if mine.context_features else None
            data = block.data.T
            aim = _log_density(*mapped_by(its.univariate, data, block.parameters))
            found = _log_density(*mapped_by(mine.univariate, data, mine.made(block.latents, given), inverse=True))
            loss = loss + functional.huber_loss(found, aim, reduction="sum") / len(z)
        return loss


def _log_density(latents: Tensor, ladj: Tensor) -> Tensor:
    """Of what is mapped to ``latents`` with log-derivatives ``ladj``, up to a constant, if these were standard normal."""
    return ladj - latents.square() / 2


def _masked(bijection: Bijection, *, sees: str) -> list[MaskedAutoregressive]:
    """The blocks of a bijection, whose networks all see the latents, or the data; raise `DomainError` where they do not."""
    blocks = [(part, flipped) for part, flipped in parts(bijection) if isinstance(part, BLOCKS)]
    if not all(isinstance(part, MaskedAutoregressive) and flipped == (sees == "latents") for part, flipped in blocks):
        message = (
            "distillation block by block needs a teacher of MaskedAutoregressive blocks whose networks see the data and a student whose "
            "networks see the latents: build it with student_of(teacher), or use Distillation"
        )
        raise DomainError(message)
    return [part for part, _ in blocks if isinstance(part, MaskedAutoregressive)]
