"""DiscFlow: a discriminator tells the likelihood which events the flow gives too rarely."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hepflows.bijections.implicit import evaluating
from hepflows.errors import DomainError
from hepflows.flow import Flow
from hepflows.nets import MLP
from hepflows.training.objectives import MaximumLikelihood, Objective, Sums


class DiscFlow(Objective):
    r"""The likelihood, weighted by a discriminator that learns beside the flow (arXiv:2110.13632).

    .. math:: L = - \frac{\sum_i w_i^\alpha \log p(x_i | c_i)}{\sum_i w_i^\alpha}, \qquad
              w_i = \frac{D(x_i, c_i)}{1 - D(x_i, c_i)} \approx \frac{p_\mathrm{data}(x_i | c_i)}{p(x_i | c_i)}

    over the events of a batch of data, the weights taken as constants. ``D`` is trained to tell data from what the flow draws in the same
    contexts; flow and discriminator do not play against one another, the flow never sees the gradient of ``D``. For ``alpha=0`` this is
    `MaximumLikelihood`. With the exact ratio its gradient is that of the Renyi divergence of order :math:`1 + \alpha`,
    :math:`\frac1\alpha \log \langle (p_\mathrm{data} / p)^\alpha \rangle_\mathrm{data}`, whose minimum is the data's density as well;
    a flow that cannot reach it is drawn towards regions where it gives too little.

    Each batch takes two steps: first Adam on the cross entropy of ``D``, then the flow's. Epochs are compared by the likelihood alone. In
    a flow that cannot reach the data's density its best value is not that of this loss: train with ``TrainingConfig(keep="last")``.

    Args:
        flow: the flow that is fitted.
        discriminator: ``(x (N, D), context (N, C) or None) -> (N, 1)`` logits of being data; an `MLP` where not given. Shift and scale the
            data so that such a network can read them.
        alpha: power of the weights at its full size.
        start: first epoch of the discriminator; before it the objective is the likelihood.
        fade: number of epochs over which the power then grows from zero, so that the discriminator can learn first.
        clip: weights are kept in ``[1 / clip, clip]``.
        rate: learning rate of the discriminator.
        hidden: widths of its hidden layers, where it is not given.
        seed: draws its initial weights, where it is not given.

    Raises:
        DomainError: a number is out of range.

    Example:
        >>> from hepflows.zoo import maf
        >>> objective = DiscFlow(maf(2, seed=0), alpha=0.5)
        >>> x, rng = torch.zeros(4, 2), torch.Generator().manual_seed(0)
        >>> objective(x, generator=rng).shape, objective.auxiliary_loss(x, generator=rng).shape
        (torch.Size([]), torch.Size([]))
    """

    def __init__(
        self,
        flow: Flow,
        discriminator: nn.Module | None = None,
        *,
        alpha: float = 0.5,
        start: int = 0,
        fade: int = 0,
        clip: float = 10.0,
        rate: float = 1e-3,
        hidden: Sequence[int] = (64, 64),
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not alpha >= 0 or start < 0 or fade < 0 or not clip > 1 or not rate > 0:
            message = (
                "a DiscFlow needs alpha, start and fade of at least 0, clip above 1 and a positive rate, "
                f"got alpha={alpha}, start={start}, fade={fade}, clip={clip}, rate={rate}"
            )
            raise DomainError(message)
        self.likelihood = MaximumLikelihood(flow)
        if discriminator is None:
            rng = torch.Generator().manual_seed(seed)
            discriminator = MLP(flow.features, 1, hidden, context_features=flow.context_features, generator=rng)
            discriminator.to(flow.base.anchor)
        self.discriminator = discriminator
        self.alpha, self.start, self.fade, self.clip, self.auxiliary_rate = alpha, start, fade, clip, rate
        self.epoch = start + fade

    @property
    def flow(self) -> Flow:
        """The flow that is fitted."""
        return self.likelihood.flow

    def begin_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    @property
    def power(self) -> float:
        """The power of the weights in this epoch."""
        if self.epoch < self.start:
            return 0.0
        return self.alpha * min(1.0, (self.epoch - self.start) / self.fade if self.fade else 1.0)

    def log_weights(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Logarithms of the weights ``w``, ``(N,)``, clipped, without gradients."""
        with torch.no_grad(), evaluating(self.discriminator):
            limit = torch.as_tensor(self.clip).log().item()
            logits: Tensor = self.discriminator(x, context)
            return logits.squeeze(-1).clamp(-limit, limit)

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The loss of events ``x`` (N, D) with ``context`` (N, C) and event ``weights`` (N,), which multiply those of ``D``."""
        numerator, denominator = DiscFlow.sums(self, x, context, weights)
        return numerator / denominator

    def sums(
        self,
        x: Tensor,
        context: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Sums:
        if self.power > 0:
            ratios = (self.power * self.log_weights(x, context)).exp()
            weights = ratios if weights is None else weights * ratios
        return self.likelihood.sums(x, context, weights)

    def validation(
        self,
        x: Tensor,
        context: Tensor | None = None,
        weights: Tensor | None = None,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Negative log-likelihood with the event weights alone, so that epochs can be compared."""
        return self.likelihood(x, context, weights)  # type: ignore[no-any-return]

    def auxiliary_parameters(self) -> list[nn.Parameter]:
        return [parameter for parameter in self.discriminator.parameters() if parameter.requires_grad]

    def auxiliary_loss(
        self, x: Tensor, context: Tensor | None = None, weights: Tensor | None = None, *, generator: torch.Generator
    ) -> Tensor | None:
        """Cross entropy of the discriminator, data against as many draws of the flow in the same contexts, in nats."""
        sums = DiscFlow.auxiliary_sums(self, x, context, weights, generator=generator)
        return None if sums is None else sums[0] / sums[1]

    def auxiliary_sums(
        self, x: Tensor, context: Tensor | None = None, weights: Tensor | None = None, *, generator: torch.Generator
    ) -> Sums | None:
        if self.alpha == 0 or self.epoch < self.start:
            return None
        with evaluating(self.flow):
            drawn = self.flow.sample(len(x) if context is None else (), context, generator=generator)
        logits = self.discriminator(torch.cat([x, drawn]), None if context is None else torch.cat([context, context]))
        labels = torch.cat([torch.ones_like(x[:, 0]), torch.zeros_like(x[:, 0])])
        both = None if weights is None else torch.cat([weights, weights])
        total = functional.binary_cross_entropy_with_logits(logits.squeeze(-1), labels, both, reduction="sum")
        return total, len(labels) if both is None else both.abs().sum()
