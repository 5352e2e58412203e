"""Distillation: a flow that is fast to sample learns to be the flow that was fast to train."""

from __future__ import annotations

import torch
from torch import Tensor

from hepflows.bijections import Trace, trace
from hepflows.errors import DomainError
from hepflows.flow import Flow
from hepflows.training.taught import Taught, check_blocks


class Distillation(Taught):
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
        >>> from hepflows.student import student_of
        >>> from hepflows.zoo import maf
        >>> teacher = maf(2, seed=0)
        >>> objective = Distillation(student_of(teacher, seed=1), teacher)
        >>> objective(torch.zeros(4, 2), generator=torch.Generator().manual_seed(0)).shape
        torch.Size([])
    """

    def __init__(
        self, student: Flow, teacher: Flow, beta: float = 0.5, intermediate: float = True, parameters: float = True
    ) -> None:
        if not 0 <= beta <= 1 or not intermediate >= 0 or not parameters >= 0:
            message = (
                "a Distillation needs beta between 0 and 1 and weights that are not negative, "
                f"got beta={beta}, intermediate={intermediate}, parameters={parameters}"
            )
            raise DomainError(message)
        super().__init__(student, teacher)
        if intermediate or parameters:
            check_blocks(student.bijection, teacher.bijection, compare_parameters=bool(parameters))
        self.beta = beta
        self.intermediate, self.parameters_weight = float(intermediate), float(parameters)

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
