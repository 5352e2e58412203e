"""One search with several seeds: medians and 68 % bands of all figures, and the band of the SIC curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hepflows import console
from hepflows.applications.anomaly import pipeline
from hepflows.applications.anomaly.config import SearchConfig
from hepflows.applications.anomaly.data import Selection
from hepflows.applications.anomaly.metrics import FEWEST_BACKGROUND, Curve, band, curve
from hepflows.applications.anomaly.regions import Regions
from hepflows.applications.anomaly.report_seeds import write_report
from hepflows.errors import ConfigError
from hepflows.io.atomic import replacing

FIGURES = (
    "significance", "p_value", "max_sic", "max_sic_at_signal_efficiency", "auc", "sic_at_background_1e-2", "sic_at_background_1e-3",
    "rejection_at_signal_0.2", "rejection_at_signal_0.5", "auc_sideband", "auc_sideband_floor", "auc_signal_region",
    "auc_signal_region_floor", "sculpting_p_value", "sculpting_bump", "train_seconds",
)  # fmt: skip
"""What is summarised."""


def run_seeds(
    path: Path,
    out: Path,
    selection: Selection,
    regions: Regions,
    config: SearchConfig,
    seeds: Sequence[int],
    *,
    background: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
) -> dict[str, Any]:
    """Run a search with each seed, in ``seed_1``, ``seed_2``, ..., and summarise.

    A seed varies the folds, the first weights, the order of the batches, the background samples and the classifiers; the events stay.

    Args:
        path: the events.
        out: folder of all runs.
        selection: which columns are what.
        regions: signal region and sidebands.
        config: of each search.
        seeds: at least two.
        background: see `hepflows.applications.anomaly.pipeline.run`.
        resume: go on with interrupted runs.
        overwrite: replace runs that are there.
        jobs: processes that fit folds at the same time.

    Returns:
        What stands in ``metrics.json``: for each figure its median, ``_low`` and ``_high`` of the central 68 %, ``_std``, half of their
        difference, and ``_seeds``, the values.

    Raises:
        ConfigError: fewer than two seeds, or the folder holds a run without seeds.
    """
    if len(seeds) < 2:
        message = f"a band needs at least two seeds, got {len(seeds)}"
        raise ConfigError(message)
    if (out / "manifest.json").exists():
        message = f"{out}: holds a run of one seed; choose another --out"
        raise ConfigError(message)
    runs, curves = [], []
    for seed in seeds:
        console.say(f"seed {seed}")
        folder = out / f"seed_{seed}"
        runs.append(
            pipeline.run(
                path, folder, selection, regions, config, seed,
                background=background, resume=resume, overwrite=overwrite, jobs=jobs,
            )
        )  # fmt: skip
        found = _curve(folder / "scores.hdf5")
        curves += [] if found is None else [found]
    metrics = summary(runs, list(seeds))
    with replacing(out / "metrics.json") as temporary:
        Path(temporary).write_text(json.dumps(metrics, indent=2) + "\n")
    shown = band(curves) if len(curves) == len(seeds) else None
    write_report(out / "report.html", metrics, runs, shown, title=path.name, regions=regions, selection=selection)
    return metrics


def summary(runs: Sequence[dict[str, Any]], seeds: list[int]) -> dict[str, Any]:
    """Medians and central 68 % of the figures that all runs have.

    >>> found = summary([{"method": "cwola", "n_events": 9, "max_sic": one} for one in (8.0, 10.0, 11.0)], [1, 2, 3])
    >>> found["max_sic"], round(found["max_sic_low"], 2), found["max_sic_seeds"]
    (10.0, 8.64, [8.0, 10.0, 11.0])
    """
    same: dict[str, Any] = {
        key: runs[0][key] for key in ("method", "n_events", "n_signal_region", "n_sidebands") if key in runs[0]
    }
    found: dict[str, Any] = {**same, "n_seeds": len(seeds), "seeds": seeds}
    for key in FIGURES:
        values = [float(one[key]) for one in runs if one.get(key) is not None]
        if len(values) < len(runs):
            continue
        low, median, high = (float(one) for one in np.quantile(values, (0.16, 0.5, 0.84)))
        found |= {
            key: median,
            f"{key}_std": (high - low) / 2,
            f"{key}_low": low,
            f"{key}_high": high,
            f"{key}_seeds": values,
        }
    return found


def _curve(path: Path) -> Curve | None:
    """Of the signal region of a run; None without labels, or with too few events of either kind."""
    with h5py.File(path, "r") as file:
        if "label" not in file:
            return None
        inside = file["in_signal_region"][:] == 1
        scores, labels = file["score"][:][inside], file["label"][:][inside]
    if not labels.any() or (labels == 0).sum() < FEWEST_BACKGROUND:
        return None
    return curve(scores, labels)
