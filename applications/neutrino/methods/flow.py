"""nu-Flow: the posterior of the neutrino momenta, by a conditional flow (arXiv:2207.00664)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.neutrino.config import NeutrinoConfig
from hepflows.applications.neutrino.coordinates import WCoordinates
from hepflows.applications.neutrino.events import Array, Events
from hepflows.applications.neutrino.features import rows
from hepflows.applications.neutrino.frame import FRAMES, Frame
from hepflows.applications.neutrino.network import event_network
from hepflows.errors import CheckpointError
from hepflows.posterior.estimator import PosteriorEstimator
from hepflows.training.checkpoint import load_tensors, restoring
from hepflows.training.loop import History, Progress
from hepflows.training.presets import validated


class NeutrinoFlow:
    """p(px, py, eta of each neutrino | event).

    Args:
        config: see `NeutrinoConfig`.
        seed: everything random of the training follows from it.

    Example:
        >>> from hepflows.applications.neutrino import load_config, top_pairs
        >>> flow = NeutrinoFlow(load_config("quick", ["posterior.training.epochs=1"]), seed=1)
        >>> history = flow.fit(top_pairs(500, seed=2))
        >>> flow.sample(top_pairs(7, seed=3), 100, seed=4).shape
        (100, 7, 1, 3)
    """

    def __init__(self, config: NeutrinoConfig, *, seed: int) -> None:
        self.config = config
        self.network = event_network(config, seed)
        self.estimator = PosteriorEstimator(
            config.posterior,
            names=target_names(config.leptons, third=_THIRD[config.coordinates]),
            embedding=self.network,
            seed=seed,
        )

    def fit(self, events: Events, *, checkpoint: Path | None = None, progress: Progress | None = None) -> History:
        """Maximum likelihood on events with true neutrinos, their weights of any sign; the best epoch on a share of them is kept.

        Args:
            events: the events.
            checkpoint: where the state of the training is kept; the same call goes on from there.
            progress: called after every step.

        Raises:
            DataError: there are no true neutrinos.
            TrainingError: the loss is not finite.
        """
        events = self._frame(events).events
        x = self._rows(events)
        self.network.standardise(x)
        theta = self._coordinates(events, events.truth("the training of the flow"))[0]
        return self.estimator.fit(
            theta.reshape(len(events), -1), x, weights=events.weights, checkpoint=checkpoint, progress=progress
        )

    def rows(self, events: Events) -> Tensor:
        """What the network sees."""
        return self._rows(self._frame(events).events)

    def sample(self, events: Events, n: int = 1, *, seed: int) -> Array:
        """(n, N, L, 3) px, py in GeV and pseudorapidity: n draws for each of N events, in bounded memory beside them."""
        return self.sample_and_log_prob(events, n, seed=seed)[0]

    def sample_and_log_prob(self, events: Events, n: int = 1, *, seed: int) -> tuple[Array, Array]:
        """Draws as of `sample`, and their log densities (n, N)."""
        frame = self._frame(events)
        draws, density = self.estimator.sample_and_log_prob(self._rows(frame.events), n, seed=seed)
        found, log_prob = draws.reshape(n, len(events), self.config.leptons, 3).numpy(), density.numpy()
        if self.config.coordinates != "plain":
            coordinates = WCoordinates(frame.events, w_mass=self.config.quadratic.w_mass)
            found = coordinates.inverse(found)
            log_prob = log_prob + coordinates.forward(found)[1]
        return frame.back(found), log_prob

    def log_prob(self, neutrinos: Array, events: Events) -> Array:
        """Log density (..., N) of neutrinos (..., N, L, 3), per GeV^2 and unit of pseudorapidity."""
        frame = self._frame(events)
        y, ladj = self._coordinates(frame.events, frame.into(neutrinos))
        flat = np.ascontiguousarray(y.reshape(*y.shape[:-2], -1))
        return self.estimator.log_prob(flat, self._rows(frame.events)).numpy() + ladj

    def _frame(self, events: Events) -> Frame:
        return FRAMES[self.config.frame](events)

    def _rows(self, events: Events) -> Tensor:
        return rows(events, roots=self.config.roots, w_mass=self.config.quadratic.w_mass)

    def _coordinates(self, events: Events, neutrinos: Array) -> tuple[Array, Array]:
        """What the flow sees of neutrinos (..., N, L, 3), and log |det J| (..., N)."""
        if self.config.coordinates == "plain":
            return neutrinos, np.zeros(neutrinos.shape[:-2])
        return WCoordinates(events, w_mass=self.config.quadratic.w_mass).forward(neutrinos)

    def out_of_range(self, events: Events) -> Array:
        """(N,) distance from the training events; above 1 an event lies farther out than all of them.

        The larger one of two: the Mahalanobis distance of `hepflows.posterior.TrainingRange`, which sees combinations, and one plus the
        number of standard deviations by which a number of the event, or of one of its jets, passes the range of the training.
        """
        x = self.rows(events)
        excess = self.network.excess(x).double()
        return torch.maximum(self.estimator.out_of_range(x), torch.where(excess > 0, 1 + excess, 0.0)).numpy()

    def save(self, path: Path, notes: dict[str, Any] | None = None) -> None:
        """Write the weights and the configuration to one file."""
        self.estimator.save(path, {"neutrino": self.config.model_dump(mode="json"), **(notes or {})})

    @classmethod
    def load(cls, path: Path) -> tuple[NeutrinoFlow, dict[str, Any]]:
        """Read what `save` wrote: the flow and the notes.

        Raises:
            CheckpointError: not such a file.
        """
        notes = load_tensors(path)[1].get("notes", {})
        if "neutrino" not in notes:
            message = f"{path}: holds no model of neutrinos: give the folder of a run of 'hepflows neutrino run'"
            raise CheckpointError(message)
        with restoring(path):
            flow = cls(validated(NeutrinoConfig, notes["neutrino"], "config"), seed=0)
            flow.estimator, notes = PosteriorEstimator.load(path, embedding=flow.network)
        return flow, notes


_THIRD = {"plain": "eta", "w_mass": "t"}


def target_names(leptons: int, *, third: str = "eta") -> list[str]:
    """Names of the parameters, those of one neutrino next to one another.

    >>> target_names(2)
    ['px1', 'py1', 'eta1', 'px2', 'py2', 'eta2']
    """
    numbers: Sequence[str] = [""] if leptons == 1 else [str(i + 1) for i in range(leptons)]
    return [f"{name}{number}" for number in numbers for name in ("px", "py", third)]
