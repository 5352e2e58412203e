"""All tests of a search in one place: what stands in its ``metrics.json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hepflows import console
from hepflows.applications.anomaly import metrics as merit
from hepflows.applications.anomaly.bumphunt import Window
from hepflows.applications.anomaly.closure import Closure, close, closure_test
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.kfold import Ensemble
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.sky import Sky
from hepflows.applications.anomaly.verdict import counted, hunted, sculpting


@dataclass(frozen=True)
class Judged:
    """The verdict.

    Args:
        metrics: all numbers of ``metrics.json`` but the time.
        sample, inner: real and sampled background of the sidebands and, with labels, of the signal region.
        hunts: what the bump hunt found after each cut, or why it could not.
    """

    metrics: dict[str, Any]
    sample: Closure | None
    inner: Closure | None
    hunts: list[tuple[float, Window | str]]


def judge(
    scores: Array, events: Events, regions: Regions, ensemble: Ensemble, seed: int, *, sky: Sky | None = None
) -> Judged:
    """Closure, bump hunt, counts, sculpting and, where there are labels, efficiencies.

    Args:
        scores: (n,) held-out scores.
        events: the sample.
        regions: the window.
        ensemble: the models.
        seed: of tests, pseudo-experiments and bootstrap.
        sky: places of the events, where they are known.
    """
    rules = ensemble.config.verdict
    most = 2 * rules.closure_events
    sample = close(events, regions.sidebands(events.resonance), ensemble, most, seed)
    with console.progress("closure in the sidebands") as update:
        found = closure_test(sample, rules, "sideband", seed=seed, progress=update)
    inner = None
    if events.label is not None:
        # what no search can do: true background of the signal region, too, is compared
        inner = close(events, regions.signal(events.resonance) & (events.label == 0), ensemble, most, seed)
        with console.progress("closure in the signal region") as update:
            found |= closure_test(inner, rules, "signal_region", seed=seed, progress=update)
    inside, first = regions.signal(events.resonance), rules.efficiencies[0]
    # with weights a count is no Poisson number
    plain = events.weight is None
    counts = counted(scores, events, regions, rules.efficiencies, sample) if plain else []
    hunts = hunted(scores, events, regions, rules, seed=seed) if plain else []
    best = next((one for _, one in hunts[:1] if isinstance(one, Window)), None)
    known = regions.sidebands(events.resonance) if events.label is None else events.label == 0
    values: dict[str, Any] = {
        "method": ensemble.config.method,
        "n_events": len(events),
        "n_signal_region": int(inside.sum()),
        "n_sidebands": int(regions.sidebands(events.resonance).sum()),
        "n_outside_fitted_range": ensemble.outside(events),
        **found,
        "p_value": None if best is None else best.p_value,
        "significance": None if best is None else best.significance,
        "bump_hunt": [
            {"efficiency": cut, **(one.to_dict() if isinstance(one, Window) else {"failed": one})} for cut, one in hunts
        ],
        "counts": counts,
        **sculpting(events.resonance[known], scores[known] >= -np.log10(first), regions),
    }
    if events.label is not None:
        truth = events.label[inside]
        if truth.any() and (truth == 0).sum() >= merit.FEWEST_BACKGROUND:
            values |= merit.figures_of_merit(scores[inside], truth, seed=seed)
    if sky is not None:
        values["sky"] = sky.profile(scores, events.resonance, regions).to_dict()
    return Judged(values, sample, inner, hunts)
