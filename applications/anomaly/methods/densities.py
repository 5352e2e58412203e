"""ANODE and R-ANODE: ratios of densities, without a classifier."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.applications.anomaly import classifiers
from hepflows.applications.anomaly.config import SearchConfig
from hepflows.applications.anomaly.density import DTYPE, Density, split
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.methods.base import Method, Task
from hepflows.flow import Flow
from hepflows.training.batches import TensorBatches
from hepflows.training.loop import fit
from hepflows.training.objectives import Objective
from hepflows.training.seeding import derive


class Anode(Method):
    r"""ANODE (arXiv:2001.04990): :math:`\log p_\mathrm{signal\ region}(x|m) - \log p_\mathrm{sidebands}(x|m)`, two flows.

    The inner flow starts as the outer one, unless ``inner_start`` says otherwise: what both would have to learn from few events, the
    background, is then the same in both, and cancels in the ratio.
    """

    name = "anode"
    samples = True

    def _build(self, features: int) -> dict[str, Density | classifiers.Classifier]:
        inner = self.config.inner
        if self.config.inner_start == "density":
            inner = self.config.density.model_copy(update={"training": inner.training, "validation": inner.validation})
        return {
            "density": Density(features, self.config.density, seed=0),
            "inner": Density(features, inner, seed=1),
        }

    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        self.fit_density("density", sidebands, task)
        start = self.density("density") if self.config.inner_start == "density" else None
        self.fit_density("inner", signal, task, start=start)
        return self.sample_null(len(signal), task)

    def score(self, events: Events) -> Array:
        """(n,) log ratio of the densities; outside of the signal region the inner one is extrapolated."""
        x, m = events.features, events.resonance
        return self.density("inner").log_prob(x, m) - self.density("density").log_prob(x, m)


class RAnode(Anode):
    r"""R-ANODE (arXiv:2312.11629): the density of the signal itself is learnt.

    .. math:: p(x|m) = w\, p_s(x|m) + (1 - w)\, p_b(x|m),

    with :math:`p_b` frozen as the sidebands gave it, and w learnt or held. The score is :math:`\log p_s - \log p_b`.
    """

    name = "ranode"

    def __init__(self, config: SearchConfig | None = None) -> None:
        super().__init__(config)
        self.fraction = self.config.signal.fraction

    def _build(self, features: int) -> dict[str, Density | classifiers.Classifier]:
        # a signal does not look like background: its flow starts anew
        return {
            "density": Density(features, self.config.density, seed=0),
            "inner": Density(features, self.config.inner, seed=1),
        }

    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        self.fit_density("density", sidebands, task)
        x, m, inner = signal.features, signal.resonance, self.density("inner")
        inner.prepare(x, m)
        z, ladj = inner.latents_in(x)
        # log p_b in the space of the inner flow
        background = torch.as_tensor(self.density("density").log_prob(x, m) - ladj, dtype=DTYPE)
        columns = (z, inner.context(m), background, torch.as_tensor(signal.weights, dtype=DTYPE))
        rules = self.config.signal
        objective = _Residual(inner.flow, rules.fraction, learn=rules.learn)
        config, seed = self.config.inner, derive(task.seed, "inner")
        training, validation = split(len(x), config.validation, seed)
        self.histories["inner"] = fit(
            objective,
            TensorBatches(columns, config.training.batch_size, rows=training),
            TensorBatches(columns, 8192, rows=validation, shuffle=False),
            config.training,
            seed=derive(seed, "training"),
            checkpoint=task.checkpoint("inner"),
            progress=task.progress,
        )
        self.fraction = float(torch.sigmoid(objective.logit.detach()))
        return self.sample_null(len(signal), task)

    def sample_signal(self, n: int, *, seed: int) -> Events:
        """Draw n events of what was found: the learnt density of the signal."""
        drawn = self.sample_background(n, seed=seed)
        features = self.density("inner").sample(drawn.resonance, seed=derive(seed, "signal"))
        return Events(drawn.resonance, features, self.names, self.resonance_name)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """See `Method.state`; with the signal fraction."""
        tensors, header = super().state()
        return tensors, {**header, "fraction": self.fraction}

    def restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Undo `state`."""
        super().restore(tensors, header)
        self.fraction = header["fraction"]


class _Residual(Objective):
    """Negative log likelihood of the mixture of a flow with a frozen density."""

    def __init__(self, flow: Flow, fraction: float, *, learn: bool) -> None:
        super().__init__()
        self.flow = flow
        self.logit = nn.Parameter(torch.tensor(math.log(fraction / (1 - fraction)), dtype=DTYPE), requires_grad=learn)

    def sums(
        self, x: Tensor, context: Tensor, background: Tensor, weights: Tensor, *, generator: object = None
    ) -> tuple[Tensor, Tensor]:
        log = nn.functional.logsigmoid
        each = torch.logaddexp(log(self.logit) + self.flow.log_prob(x, context), log(-self.logit) + background)
        return -(weights * each).sum(), weights.sum()

    def forward(self, *batch: Tensor, generator: object = None) -> Tensor:
        numerator, denominator = self.sums(*batch)
        return numerator / denominator
