"""Closure: whether sampled background can be told from real background, in the sidebands and, with labels, in the signal region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.config import VerdictConfig
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.kfold import Ensemble
from hepflows.metrics import ClassifierProtocol, classifier_test
from hepflows.training.loop import Progress
from hepflows.training.seeding import derive, numpy_generator

CLOSURE = ClassifierProtocol(
    "anomaly-closure",
    hidden=(128, 128),
    inputs="robust",
    epochs=20,
    batch_size=512,
    select="auc",
    calibration_clip=None,
)
"""The classifier that compares sampled with real background."""

FEWEST = 200
"""Events that the test needs."""


@dataclass(frozen=True)
class Closure:
    """Real background events, and as many drawn at the same resonant variable by flows that have not seen them.

    Args:
        real, drawn: (n,) events, row by row of one resonant variable.
        real_scores, drawn_scores: (n,) by the same models.
    """

    real: Events
    drawn: Events
    real_scores: Array
    drawn_scores: Array


def close(events: Events, background: NDArray[np.bool_], ensemble: Ensemble, most: int, seed: int) -> Closure | None:
    """Draw background like some of the events.

    Args:
        events: the sample that was learnt.
        background: (n,) which of them are compared.
        ensemble: the models.
        most: at most so many events.
        seed: of the draw.

    Returns:
        Both samples, or None where the method has no density, or there are fewer than `FEWEST` events.
    """
    rows = np.flatnonzero(background)
    if not ensemble.methods[0].samples or len(rows) < FEWEST:
        return None
    rows = numpy_generator(seed, "closure").permutation(rows)[:most]
    real, fold = events[rows], ensemble.folds(events)[rows]
    features, scores = np.empty_like(real.features), np.empty((2, len(rows)))
    for index, method in enumerate(ensemble.methods):
        of = np.flatnonzero(fold == index)
        if len(of):
            m, part = real.resonance[of], derive(seed, "closure", index)
            drawn = method.sample_background(len(of), seed=part, resonance=m)
            features[of] = drawn.features
            scores[0, of] = method.scale(method.score(real[of]))
            scores[1, of] = method.scale(method.score(drawn))
    return Closure(real, Events(real.resonance, features, real.names, real.resonance_name), *scores)


def closure_test(
    sample: Closure | None, config: VerdictConfig, place: str, *, seed: int, progress: Progress | None = None
) -> dict[str, Any]:
    """AUC of a classifier between sampled and real background, with its floor; 0.5 is perfect.

    The classifier sees the features and the resonant variable. The floor is the same test between two halves of the real events.

    Args:
        sample: see `close`; the figures are None without one.
        config: how many trainings.
        place: "sideband" or "signal_region", for the names of the figures.
        seed: of the trainings.
        progress: called after every step.
    """
    if sample is None:
        return {f"auc_{place}": None, f"auc_{place}_floor": None}
    half = len(sample.real) // 2
    real, drawn = (np.column_stack([one.features, one.resonance]) for one in (sample.real, sample.drawn))
    # one half of the real events against samples at the places of the other, so that the resonant variables are independent
    found = classifier_test(
        drawn[half : 2 * half],
        real[:half],
        floor_reference=real[half : 2 * half],
        protocol=CLOSURE,
        repeats=config.closure_repeats,
        seed=derive(seed, "closure test"),
        progress=progress,
    ).to_dict()
    return {
        f"auc_{place}": found["auc"],
        f"auc_{place}_std": found["auc_std"],
        f"auc_{place}_floor": found["auc_floor"],
        f"auc_{place}_floor_std": found["auc_floor_std"],
        f"auc_{place}_power": found["power_auc"],
        f"n_{place}_test": half,
    }
