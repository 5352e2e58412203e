"""Whether a search can be believed: sculpting, the bump hunt after each cut, and the count of the signal region without a fit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.anomaly.bumphunt import BumpHunt, Window
from hepflows.applications.anomaly.closure import Closure
from hepflows.applications.anomaly.config import VerdictConfig
from hepflows.applications.anomaly.events import Array, Events
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.significance import counting
from hepflows.errors import DataError, TrainingError
from hepflows.training.seeding import derive


def sculpting(m: Array, passed: NDArray[np.bool_], regions: Regions, bins: int = 20) -> dict[str, float | int | None]:
    r"""Whether a cut shapes the resonant variable of background.

    The share that passes is compared over bins of equal counts, :math:`\chi^2 = \sum_i (k_i - n_i \varepsilon)^2 / (n_i \varepsilon
    (1 - \varepsilon))` with one degree of freedom less than bins; and that of the signal region with a parabola through the events
    outside of it, in standard deviations: a bump is positive. Features that move with the resonant variable make a slope, and a small
    p-value, but no bump.

    Args:
        m: (n,) resonant variable of background events.
        passed: (n,) which pass the cut.
        regions: the window.
        bins: at most so many.

    >>> rng = np.random.default_rng(0)
    >>> found = sculpting(rng.uniform(2, 5, 20_000), rng.random(20_000) < 0.01, Regions(3.3, 3.7))
    >>> found["sculpting_p_value"] > 0.01, abs(found["sculpting_bump"]) < 3
    (True, True)
    """
    from scipy.stats import chi2

    share = float(passed.mean())
    count = int(passed.sum())
    number = min(bins, count // 10)
    if number < 4:
        return {"sculpting_p_value": None, "sculpting_bump": None, "n_sculpting": count}
    edges = np.quantile(m, np.linspace(0, 1, number + 1)[1:-1])
    place = np.searchsorted(edges, m)
    n, k = np.bincount(place, minlength=number), np.bincount(place[passed], minlength=number)
    variance = n * share * (1 - share)
    statistic = float(np.sum((k - n * share) ** 2 / variance))
    return {
        "sculpting_p_value": float(chi2.sf(statistic, number - 1)),
        "sculpting_bump": _bump(m, passed, regions),
        "n_sculpting": count,
    }


def _bump(m: Array, passed: NDArray[np.bool_], regions: Regions) -> float | None:
    """The share of the signal region against a parabola through the sidebands, by least squares on events."""
    inside, outside = regions.signal(m), regions.sidebands(m)
    if not inside.any() or outside.sum() < 3:
        return None
    x = (m - m[outside].mean()) / m[outside].std()
    design = np.vander(x[outside], 3)
    inverse = np.linalg.pinv(design.T @ design)
    curve = inverse @ (design.T @ passed[outside])
    share = float(passed[outside].mean())
    middle = np.vander(x[inside], 3).mean(0)
    variance = share * (1 - share) * (1.0 / inside.sum() + middle @ inverse @ middle)
    return float((passed[inside].mean() - middle @ curve) / np.sqrt(variance)) if variance > 0 else None


def hunted(
    scores: Array, events: Events, regions: Regions, config: VerdictConfig, *, seed: int
) -> list[tuple[float, Window | str]]:
    """The bump hunt after each cut: what it found, or why it could not be done, by background efficiency."""
    hunt = BumpHunt(config.function, config.bins, config.scale, config.toys, config.likelihood)
    found: list[tuple[float, Window | str]] = []
    for efficiency in config.efficiencies:
        m = events.resonance[scores >= -np.log10(efficiency)]
        try:
            found.append((efficiency, hunt.test(m, regions, seed=derive(seed, "hunt", str(efficiency)))))
        except (DataError, TrainingError) as error:
            found.append((efficiency, str(error)))
    return found


def counted(
    scores: Array, events: Events, regions: Regions, efficiencies: list[float], sample: Closure | None
) -> list[dict[str, float | int | None]]:
    r"""Cut and count without a fit (arXiv:2411.00085): the samples say how much background passes.

    .. math:: b = \varepsilon N \frac{r_\mathrm{below} + r_\mathrm{above}}{2}, \qquad
              s^2 = b^2 \Big[ \sigma^2 + \Big( \frac{r_\mathrm{below} - r_\mathrm{above}}{2} \Big)^2 \Big]

    with N events in the signal region and r the ratio of real to sampled events that pass in each sideband, where both can be counted: a
    classifier that sees what the flow did not learn lets more real events pass. The error is the statistical one of the ratios, and their
    difference. A method without samples gives a count and no significance.

    Args:
        scores: (n,) held-out scores, :math:`-\log_{10}` of the background share.
        events: the sample.
        regions: the window.
        efficiencies: background efficiencies of the cuts.
        sample: of the sidebands, see `close`.
    """
    inside = regions.signal(events.resonance)
    rows: list[dict[str, float | int | None]] = []
    for efficiency in efficiencies:
        cut = -np.log10(efficiency)
        observed = int((scores[inside] >= cut).sum())
        row: dict[str, float | int | None] = {"efficiency": efficiency, "observed": observed}
        transfer = None if sample is None else _transfer(sample, regions, cut)
        if transfer is None:
            rows.append({**row, "expected": None, "expected_std": None, "significance": None, "p_value": None})
            continue
        expected = efficiency * int(inside.sum()) * transfer[0]
        error = efficiency * int(inside.sum()) * transfer[1]
        rows.append({**row, "expected": expected, "expected_std": error, **counting(observed, expected, error)})
    return rows


def _transfer(sample: Closure, regions: Regions, cut: float) -> tuple[float, float] | None:
    """Mean of the ratios of both sidebands and its error; None where nothing passes in one of them."""
    ratios, variances = [], []
    for side in (sample.real.resonance <= regions.low, sample.real.resonance >= regions.high):
        real, drawn = int((sample.real_scores[side] >= cut).sum()), int((sample.drawn_scores[side] >= cut).sum())
        if real == 0 or drawn == 0:
            return None
        ratios.append(real / drawn)
        variances.append((real / drawn) ** 2 * (1.0 / real + 1.0 / drawn))
    return float(np.mean(ratios)), float(np.sqrt(sum(variances) / 4 + ((ratios[0] - ratios[1]) / 2) ** 2))
