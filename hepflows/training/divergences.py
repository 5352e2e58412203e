"""Divergences between a target that can be evaluated and a flow: what importance sampling is trained with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hepflows.errors import DomainError

Function = Callable[[Tensor], Tensor]
LOG_FLOOR = -80.0
"""Logarithm of the smallest weight that counts; where the target is zero, it stands for minus infinity."""


@dataclass(frozen=True)
class Divergence:
    r"""One row of the table of f-divergences, :math:`D(p \| q) = \int q\, f(p/q)` with :math:`f(1) = 0`.

    Attributes:
        value: ``f(w)``, so that ``value(w).mean()`` over points of ``q`` estimates the divergence.
        score: ``g(w) = w f'(w) - f(w)`` up to a constant: :math:`\nabla D = -E_q[g(w)\, \nabla \log q]`.
    """

    value: Function
    score: Function


def _log(w: Tensor) -> Tensor:
    return w.log().clamp(min=LOG_FLOOR)


def alpha_divergence(alpha: float) -> Divergence:
    r""":math:`D_\alpha = \frac{1 - \int p^\alpha q^{1-\alpha}}{\alpha (1 - \alpha)}`.

    KL as alpha goes to 1, the reverse KL as it goes to 0, four times Hellinger's at 1/2, half of chi2 at 2; the larger alpha, the more it
    punishes large weights.

    Raises:
        DomainError: alpha is 0 or 1.

    >>> alpha_divergence(2.0).value(torch.tensor([3.0])).item()  # (w^2 - 1) / 2
    4.0
    """
    if alpha in (0, 1):
        message = f"the alpha divergence needs an alpha other than 0 and 1, got {alpha}: use kl or reverse_kl"
        raise DomainError(message)
    return Divergence(lambda w: (1 - w**alpha) / (alpha * (1 - alpha)), lambda w: w**alpha / alpha)


DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(lambda w: w * _log(w), lambda w: w),
    "chi2": Divergence(lambda w: (w - 1) ** 2, lambda w: w * w),
    "neyman": Divergence(lambda w: (1 - w) ** 2 / w, lambda w: -2 / w),
    "hellinger": Divergence(lambda w: 1 - w.sqrt(), lambda w: 0.5 * w.sqrt()),
    "jeffreys": Divergence(lambda w: (w - 1) * _log(w), lambda w: w + _log(w)),
    "exponential": Divergence(lambda w: w * _log(w) ** 2, lambda w: 2 * w * _log(w)),
    "js": Divergence(
        lambda w: 0.5 * (w * (_log(2 * w) - torch.log1p(w)) + math.log(2) - torch.log1p(w)),
        lambda w: 0.5 * torch.log((1 + w) / 2),
    ),
    "reverse_kl": Divergence(lambda w: -_log(w), _log),
}
r"""Those of the literature by name, for normalised weights ``w = p / q``:

=============== ====================================================== =====================================
name            :math:`D(p\|q)`                                        remarks
=============== ====================================================== =====================================
``kl``          :math:`\int p \log (p/q)`                              covers all of p; the default
``chi2``        :math:`\int (p - q)^2 / q`                             the variance of importance sampling
``neyman``      :math:`\int (p - q)^2 / p`                             only where p is positive everywhere
``hellinger``   :math:`1 - \int \sqrt{p q}`                            quiet gradients
``jeffreys``    :math:`\int (p - q) \log (p/q)`                        needs a good normalisation of p
``exponential`` :math:`\int p \log^2 (p/q)`                            needs a good normalisation of p
``js``          half of KL to the mean of both, from each              bounded
``reverse_kl``  :math:`\int q \log (q/p)`                              forgets modes: never alone
=============== ====================================================== =====================================
"""


class DivergenceLoss(nn.Module):
    r"""A loss whose gradient is that of a divergence, from points of any proposal :math:`q_0`.

    .. math:: L = -\Big\langle \frac{q}{q_0}\, g\Big(\frac pq\Big)\Big|_\text{fixed} \log q \Big\rangle_{q_0}

    Args:
        divergence: a name of `DIVERGENCES`, ``"alpha"``, or a `Divergence`.
        alpha: of ``"alpha"``.
        clip: weight ``p / q`` beyond which ``g`` grows in proportion to it, as that of ``"kl"`` does, so that a few large weights do not
            make the gradient; none where not given.

    Shapes: all inputs ``(n,)``; the loss is a scalar.

    Raises:
        DomainError: there is no such divergence.

    Example:
        >>> log_q = torch.zeros(3, requires_grad=True)
        >>> loss = DivergenceLoss("chi2")(log_q, torch.tensor([0.0, 0.0, 0.6931472]))
        >>> loss.backward()
        >>> log_q.grad.mul(3).tolist()  # minus the squared weights
        [-1.0, -1.0, -4.0]
    """

    def __init__(
        self, divergence: str | Divergence = "kl", *, alpha: float | None = None, clip: float | None = None
    ) -> None:
        super().__init__()
        if isinstance(divergence, str):
            if divergence == "alpha" and alpha is not None:
                divergence = alpha_divergence(alpha)
            elif divergence in DIVERGENCES:
                divergence = DIVERGENCES[divergence]
            else:
                message = (
                    f"divergence must be one of {', '.join(DIVERGENCES)} or alpha with alpha=..., got {divergence!r}"
                )
                raise DomainError(message)
        self.divergence, self.clip = divergence, clip

    def forward(self, log_q: Tensor, log_p: Tensor, log_q0: Tensor | None = None) -> Tensor:
        """The loss of points with log densities of flow, normalised target and proposal (the flow's where not given)."""
        fixed = log_q.detach()
        w = (log_p - fixed).exp()
        if self.clip is None:
            score = self.divergence.score(w)
        else:
            score = self.divergence.score(w.clamp(max=self.clip)) * (w / self.clip).clamp(min=1)
        if log_q0 is not None:
            score = score * (fixed - log_q0).exp()
        return -(score * log_q).mean()
