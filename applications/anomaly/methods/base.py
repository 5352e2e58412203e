"""What every method is: an estimator that learns a signal region and its sidebands, and scores events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.anomaly import classifiers
from hepflows.applications.anomaly.config import SearchConfig
from hepflows.applications.anomaly.density import Density, smoothed
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.scale import Scale
from hepflows.errors import ConfigError
from hepflows.training.loop import History, Progress
from hepflows.training.seeding import derive, numpy_generator

_QUANTILES = np.linspace(0.0, 1.0, 2001)
_FEWEST_NULL = 20_000


@dataclass(frozen=True)
class Task:
    """What one fit was asked for; see `Method.fit`."""

    seed: int
    background: Events | None = None
    checkpoints: Path | None = None
    progress: Progress | None = None

    def checkpoint(self, name: str) -> Path | None:
        """Where one of the flows keeps its state."""
        if self.checkpoints is None:
            return None
        return self.checkpoints.with_name(f"{self.checkpoints.name}_{name}.safetensors")


class Method(ABC):
    """An anomaly detector.

    Args:
        config: see `SearchConfig`; the defaults where not given.
    """

    name: ClassVar[str]
    samples: ClassVar[bool] = False
    """Whether `sample_background` can be used."""

    def __init__(self, config: SearchConfig | None = None) -> None:
        self.config = SearchConfig(method=self.name) if config is None else config
        self.parts: dict[str, Density | classifiers.Classifier] = {}
        self.histories: dict[str, History] = {}
        self.names: tuple[str, ...] = ()
        self.resonance_name = ""

    def fit(
        self,
        events: Events,
        regions: Regions,
        *,
        seed: int,
        background: Events | None = None,
        checkpoints: Path | None = None,
        progress: Progress | None = None,
    ) -> Method:
        """Learn from events of the signal region and the sidebands.

        Args:
            events: both regions; labels are looked at by references only.
            regions: the window.
            seed: repeats everything.
            background: more events that are known to be background, for the idealised detector.
            checkpoints: beginning of the names of files in which a flow that is being trained keeps its state.
            progress: called after every step.

        Returns:
            The method itself.

        Raises:
            DataError: an empty region, or labels are missing where they are needed.
            TrainingError: a loss is not finite.
        """
        regions.check(events.resonance, events.resonance_name)
        self.regions, self.names, self.resonance_name = regions, events.names, events.resonance_name
        inside = regions.signal(events.resonance)
        self._window = np.quantile(events.resonance[inside], _QUANTILES)
        self.parts, self.histories = self._build(len(events.names)), {}
        null = self._learn(
            events[inside],
            events[regions.sidebands(events.resonance)],
            Task(seed, background, checkpoints, progress),
        )
        self.scale = Scale.fit(self.score(null))
        return self

    @abstractmethod
    def _build(self, features: int) -> dict[str, Density | classifiers.Classifier]:
        """The parts that learn."""

    @abstractmethod
    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        """Fit the parts to both regions; returns background events in the signal region, whose scores make the scale."""

    @abstractmethod
    def score(self, events: Events) -> Array:
        r"""(n,) how anomalous each event is: :math:`\log p_\mathrm{data}(x) / p_\mathrm{background}(x)`, or what grows with it."""

    def sample_background(self, n: int, *, seed: int, resonance: Array | None = None) -> Events:
        """Draw background events.

        Args:
            n: how many.
            seed: repeats the draw.
            resonance: (n,) the resonant variable of each; as in the signal region where not given.

        Raises:
            ConfigError: the method has no density to draw from.
        """
        if not self.samples:
            message = f"the method {self.name} learns no density and cannot draw background: use cathode or anode"
            raise ConfigError(message)
        if resonance is None:
            resonance = smoothed(self._window, n, self.regions.low, self.regions.high, seed=seed)
        features = self.density("density").sample(resonance, seed=derive(seed, "features"))
        return Events(resonance, features, self.names, self.resonance_name)

    def sample_null(self, events: int, task: Task) -> Events:
        """Background whose scores make the scale: ten for each of the events of the signal region, as far as `SearchConfig` allows."""
        n = min(self.config.null_events, max(_FEWEST_NULL, 10 * events))
        return self.sample_background(n, seed=derive(task.seed, "null"))

    def density(self, name: str) -> Density:
        """A part that is a density."""
        part = self.parts[name]
        assert isinstance(part, Density)
        return part

    def classifier(self) -> classifiers.Classifier:
        """The part that is a classifier."""
        part = self.parts["classifier"]
        assert not isinstance(part, Density)
        return part

    def fit_density(self, name: str, events: Events, task: Task, *, start: Density | None = None) -> None:
        """Fit one of the densities to events, from the weights of another where one is given."""
        self.histories[name] = self.density(name).fit(
            events.features,
            events.resonance,
            events.weight,
            seed=derive(task.seed, name),
            start=start,
            checkpoint=task.checkpoint(name),
            progress=task.progress,
        )

    def classify(self, positive: Array, negative: Array, task: Task, weights: tuple[Array, Array]) -> None:
        """Train the classifier on (n, d) and (m, d) inputs of the classes 1 and 0, each class weighing the same."""
        y = np.repeat(np.array([1, 0]), [len(positive), len(negative)])
        # trees and networks pick validation events at random, but a shuffled table is what they expect
        order = numpy_generator(task.seed, "order").permutation(len(y))
        x, balance = np.concatenate([positive, negative]), classifiers.balanced(y, np.concatenate(weights))
        if task.progress is not None:
            task.progress(1, 1, f"classifier on {len(positive)} and {len(negative)} events")
        self.classifier().fit(x[order], y[order], balance[order], seed=derive(task.seed, "classifier"))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and a header from which `restored` makes the method again."""
        tensors = {
            "window": torch.as_tensor(self._window),
            "scale.scores": torch.as_tensor(self.scale.scores),
            "scale.values": torch.as_tensor(self.scale.values),
        }
        headers = {}
        for name, part in self.parts.items():
            values, headers[name] = part.state()
            tensors |= {f"part.{name}.{key}": value for key, value in values.items()}
        edges = [None if np.isinf(edge) else edge for edge in (self.regions.start, self.regions.stop)]
        return tensors, {
            "parts": headers,
            "slope": self.scale.slope,
            "regions": [self.regions.low, self.regions.high, *edges],
            "names": list(self.names),
            "resonance": self.resonance_name,
        }

    def restore(self, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
        """Undo `state`."""
        low, high, start, stop = header["regions"]
        self.regions = Regions(low, high, -np.inf if start is None else start, np.inf if stop is None else stop)
        self.names, self.resonance_name = tuple(header["names"]), header["resonance"]
        self._window = tensors["window"].numpy()
        self.scale = Scale(tensors["scale.scores"].numpy(), tensors["scale.values"].numpy(), header["slope"])
        self.parts = self._build(len(self.names))
        for name, part in self.parts.items():
            start_of = f"part.{name}."
            part.restore(
                {key.removeprefix(start_of): value for key, value in tensors.items() if key.startswith(start_of)},
                header["parts"][name],
            )
