"""A search in sliding windows: one run each, local and global significance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from hepflows import console
from hepflows.applications.anomaly import pipeline
from hepflows.applications.anomaly.bumphunt.hunt import sidak
from hepflows.applications.anomaly.config import SearchConfig
from hepflows.applications.anomaly.data import Selection
from hepflows.applications.anomaly.regions import Regions
from hepflows.errors import ConfigError
from hepflows.io.atomic import replacing


def windows(text: str) -> list[Regions]:
    """``start:stop:width`` or ``start:stop:width:step`` as windows that slide by ``step``, half a width where it is not given.

    Raises:
        ConfigError: not three or four numbers, or no window within them.

    >>> [(one.low, one.high) for one in windows("2.9:3.7:0.4")]
    [(2.9, 3.3), (3.1, 3.5), (3.3, 3.7)]
    """
    try:
        numbers = [float(part) for part in text.split(":")]
        start, stop, width = numbers[:3]
        (step,) = numbers[3:] or [width / 2]
    except ValueError:
        message = f"--windows {text}: write it as start:stop:width or start:stop:width:step, for example 2.9:4.1:0.4"
        raise ConfigError(message) from None
    if not (width > 0 and step > 0 and start + width <= stop + 1e-9):
        message = f"--windows {text}: no window of width {width:g} lies between {start:g} and {stop:g}"
        raise ConfigError(message)
    count = int(np.floor((stop - width - start) / step + 1e-9)) + 1
    lows = [round(start + i * step, 10) for i in range(count)]
    return [Regions(low, round(low + width, 10)) for low in lows]


def scan(
    path: Path,
    out: Path,
    selection: Selection,
    places: list[Regions],
    config: SearchConfig,
    seed: int,
    *,
    resume: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
) -> dict[str, Any]:
    """Run a search in every window, each in a folder of its own, and write ``scan.json``.

    The global p-value is that of the best window for as many independent ones, :math:`1 - (1 - p)^n`: windows that overlap share
    events, so that it is on the safe side.

    Args:
        path: the events.
        out: folder of the scan.
        selection: which columns are what.
        places: the windows.
        config: of each search.
        seed: everything random follows from it.
        resume: go on with an interrupted scan.
        overwrite: replace a scan that is there.
        jobs: processes that fit folds at the same time.
    """
    from scipy.stats import norm

    rows: list[dict[str, Any]] = []
    for regions in places:
        name = f"{regions.low:g}_{regions.high:g}"
        console.say(f"window {regions.low:g} to {regions.high:g}")
        metrics = pipeline.run(
            path, out / name, selection, regions, config, seed, resume=resume, overwrite=overwrite, jobs=jobs
        )
        cut = metrics["bump_hunt"][0] if metrics["bump_hunt"] else {}
        rows.append(
            {
                "window": [regions.low, regions.high],
                "folder": name,
                **{key: metrics.get(key) for key in ("p_value", "significance", "auc_sideband", "max_sic")},
                "limit": cut.get("limit"),
            }
        )
    found = [row["p_value"] for row in rows if row["p_value"] is not None]
    everywhere = sidak(min(found), len(found)) if found else None
    result = {
        "windows": rows,
        "n_windows": len(found),
        "global_p_value": everywhere,
        "global_significance": None if everywhere is None else float(norm.isf(everywhere)),
    }
    with replacing(out / "scan.json") as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n")
    return result
