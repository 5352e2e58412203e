"""nu-FF: the expected neutrino momenta, by a regression with the network of the flow; between two solutions it answers in between."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hepflows.applications.neutrino.config import NeutrinoConfig
from hepflows.applications.neutrino.events import Array, Events
from hepflows.applications.neutrino.features import rows, targets
from hepflows.applications.neutrino.frame import FRAMES
from hepflows.applications.neutrino.network import EventNetwork, event_network
from hepflows.errors import CheckpointError
from hepflows.nets import Linear, initialise
from hepflows.training.batches import TensorBatches
from hepflows.training.checkpoint import load_state, load_tensors, restoring, save_tensors
from hepflows.training.loop import History, Progress, fit
from hepflows.training.objectives import Objective, Sums
from hepflows.training.presets import validated
from hepflows.training.seeding import derive, generator

_CHUNK = 1 << 14  # events at once


class SquaredError(Objective):
    r"""Mean squared error :math:`\frac1n \sum_i w_i \,|y_i - f(x_i)|^2` with weights of mean one.

    Args:
        model: from rows to targets.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, y: Tensor, x: Tensor, weights: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Tensor:
        numerator, denominator = SquaredError.sums(self, y, x, weights)
        return numerator / denominator

    def sums(
        self, y: Tensor, x: Tensor, weights: Tensor | None = None, *, generator: torch.Generator | None = None
    ) -> Sums:
        error = (self.model(x) - y).square().mean(1)
        return (error if weights is None else weights * error).sum(), len(y)


class _Regression(nn.Module):
    """The summary of an event and one linear layer, to targets of mean 0 and deviation 1."""

    mean: Tensor
    scale: Tensor

    def __init__(self, network: EventNetwork, outputs: int, rng: torch.Generator) -> None:
        super().__init__()
        self.network = network
        self.output = Linear(network.outputs, outputs)
        initialise(self.output, rng)
        self.register_buffer("mean", torch.zeros(outputs, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(outputs, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.output(self.network(x))
        return result


class FeedForward:
    """The expected px, py, eta of each neutrino.

    Args:
        config: see `NeutrinoConfig`.
        seed: everything random of the training follows from it.

    Example:
        >>> from hepflows.applications.neutrino import load_config, top_pairs
        >>> regression = FeedForward(load_config("quick", ["regression.epochs=1"]), seed=1)
        >>> history = regression.fit(top_pairs(500, seed=2))
        >>> regression.predict(top_pairs(7, seed=3)).shape
        (7, 1, 3)
    """

    def __init__(self, config: NeutrinoConfig, *, seed: int) -> None:
        self.config, self.seed = config, seed
        network = event_network(config, derive(seed, "regression"))
        self.model = _Regression(network, 3 * config.leptons, generator(seed, "regression output"))

    def fit(self, events: Events, *, checkpoint: Path | None = None, progress: Progress | None = None) -> History:
        """Least squares; the arguments are those of `NeutrinoFlow.fit`."""
        events = FRAMES[self.config.frame](events).events
        x = self._rows(events)
        y = torch.as_tensor(targets(events, "the training of the regression"))
        self.model.network.standardise(x)
        self.model.mean.copy_(y.mean(0))
        self.model.scale.copy_(y.std(0))
        table = [((y - self.model.mean) / self.model.scale).float(), x]
        if events.weights is not None:
            weights = torch.as_tensor(events.weights)
            table.append((weights / weights.mean()).float())
        order = torch.randperm(len(x), generator=generator(self.seed, "validation of the regression"))
        held = max(1, round(self.config.posterior.validation * len(x)))
        size = self.config.regression.batch_size
        history = fit(
            SquaredError(self.model),
            TensorBatches(tuple(table), size, rows=order[held:]),
            TensorBatches(tuple(table), 4096, rows=order[:held], shuffle=False),
            self.config.regression,
            seed=derive(self.seed, "training of the regression"),
            checkpoint=checkpoint,
            progress=progress,
        )
        return history

    @torch.no_grad()
    def predict(self, events: Events) -> Array:
        """(n, L, 3) px, py in GeV and pseudorapidity."""
        frame = FRAMES[self.config.frame](events)
        parts = [
            self.model(some).double() * self.model.scale + self.model.mean
            for some in torch.split(self._rows(frame.events), _CHUNK)
        ]
        return frame.back(torch.cat(parts).reshape(len(events), self.config.leptons, 3).numpy())

    def save(self, path: Path) -> None:
        """Write the weights and the configuration to one file."""
        save_tensors(path, self.model.state_dict(), {"regression": self.config.model_dump(mode="json")})

    @classmethod
    def load(cls, path: Path) -> FeedForward:
        """Read what `save` wrote.

        Raises:
            CheckpointError: not such a file.
        """
        tensors, header = load_tensors(path)
        about: dict[str, Any] | None = header.get("regression")
        if about is None:
            message = f"{path}: holds no regression of neutrinos"
            raise CheckpointError(message)
        with restoring(path):
            made = cls(validated(NeutrinoConfig, about, "config"), seed=0)
            load_state(made.model, tensors, path)
        made.model.eval()
        return made

    def _rows(self, events: Events) -> Tensor:
        return rows(events, roots=self.config.roots, w_mass=self.config.quadratic.w_mass)
