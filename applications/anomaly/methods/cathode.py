"""CATHODE and LaCATHODE: a classifier between data and background drawn from a flow."""

from __future__ import annotations

import numpy as np

from hepflows.applications.anomaly import classifiers
from hepflows.applications.anomaly.density import Density
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.methods.base import Method, Task
from hepflows.training.seeding import derive, numpy_generator


class Cathode(Method):
    """CATHODE (arXiv:2109.00546).

    A flow learns p(x | m) in the sidebands and is sampled in the signal region, several times over; a classifier that tells
    these samples from the data of the signal region then scores every event.

    Example:
        >>> from hepflows.applications.anomaly.config import load_config
        >>> from hepflows.applications.anomaly.regions import Regions
        >>> from hepflows.applications.anomaly.simulate.fast import FastModel
        >>> events = FastModel().generate(3000, signal=60, seed=1)
        >>> quick = load_config("quick", ["density.training.epochs=2"])
        >>> method = Cathode(quick).fit(events, Regions(3.3, 3.7), seed=1)
        >>> method.score(events).shape, len(method.sample_background(10, seed=2))
        ((3060,), 10)
    """

    name = "cathode"
    samples = True

    def _build(self, features: int) -> dict[str, Density | classifiers.Classifier]:
        return {
            "density": Density(features, self.config.density, seed=0),
            "classifier": classifiers.build(self.config.classifier),
        }

    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        self.fit_density("density", sidebands, task)
        n = round(self.config.oversampling * len(signal))
        drawn = self.sample_background(n, seed=derive(task.seed, "samples"))
        self.classify(self.inputs(signal), self.inputs(drawn), task, (signal.weights, np.ones(n)))
        return self.sample_null(len(signal), task)

    def inputs(self, events: Events) -> Array:
        """(n, d) what the classifier sees: the features, within the range of the sidebands."""
        fitted = self.density("density").fitted
        return np.asarray(np.clip(events.features, fitted.low, fitted.high), dtype=np.float64)

    def score(self, events: Events) -> Array:
        """(n,) log odds of data against background."""
        return self.classifier().log_odds(self.inputs(events))


class LaCathode(Cathode):
    """LaCATHODE (arXiv:2210.14924): the classifier of CATHODE in the latent space of the flow.

    There background is standard normal for every value of the resonant variable, so that the score means the same inside and
    outside of the signal region.
    """

    name = "lacathode"

    def inputs(self, events: Events) -> Array:
        """(n, d) what the classifier sees: the latents of the flow."""
        return self.density("density").to_latent(events.features, events.resonance)

    def _learn(self, signal: Events, sidebands: Events, task: Task) -> Events:
        self.fit_density("density", sidebands, task)
        n = round(self.config.oversampling * len(signal))
        normal = numpy_generator(task.seed, "latents").standard_normal((n, signal.features.shape[1]))
        self.classify(self.inputs(signal), normal, task, (signal.weights, np.ones(n)))
        return self.sample_null(len(signal), task)
