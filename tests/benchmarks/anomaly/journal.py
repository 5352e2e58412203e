"""What all scripts share: seeds in parts, and a JSON file that grows with every one of them."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hepflows.io.atomic import replacing

PACKAGES = ("hepflows", "torch", "numpy", "scikit-learn")


def parser(text: str | None, *, seeds: str, events: int) -> argparse.ArgumentParser:
    """The options that all scripts have."""
    found = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--seeds", default=seeds, help="first:stop")
    found.add_argument("--events", type=int, default=events, help="background events")
    found.add_argument(
        "--json", type=Path, required=True, help="grows with every seed; seeds that it has are not repeated"
    )
    found.add_argument("--set", action="append", default=[], dest="settings", help="replaces one value of the preset")
    found.add_argument("--preset", default="default")
    found.add_argument("--jobs", type=int, default=os.cpu_count())
    return found


def measure(
    chosen: argparse.Namespace, one: Callable[[int], dict[str, Any]], *, setting: dict[str, Any]
) -> list[dict[str, Any]]:
    """Call ``one`` for each seed that the file lacks, write after each, and return all rows of the file."""
    first, stop = (int(part) for part in chosen.seeds.split(":"))
    torch.set_num_threads(1)
    setting = {**setting, "events": chosen.events, "preset": chosen.preset, "settings": chosen.settings}
    rows: list[dict[str, Any]] = []
    if chosen.json.exists():
        stored = json.loads(chosen.json.read_text())
        if stored["setting"] != setting:
            raise SystemExit(f"{chosen.json} holds another setting: {stored['setting']}")
        rows = stored["rows"]
    for seed in range(first, stop):
        if any(row["seed"] == seed for row in rows):
            continue
        started = time.perf_counter()
        row = {"seed": seed, **one(seed), "seconds": round(time.perf_counter() - started, 2)}
        rows = sorted([*rows, row], key=lambda row: row["seed"])
        content = {
            "setting": setting,
            "versions": {name: version(name) for name in PACKAGES},
            "machine": {"platform": platform.platform(), "cores": os.cpu_count(), "load": os.getloadavg()[0]},
            "rows": rows,
        }
        with replacing(chosen.json) as temporary:
            Path(temporary).write_text(json.dumps(content, indent=1) + "\n")
        print(json.dumps(row), flush=True)
    return rows


def middle(values: list[float]) -> str:
    """Median and central 68 %."""
    low, median, high = np.quantile(values, (0.16, 0.5, 0.84))
    return f"{median:.3f} ({low:.3f} to {high:.3f}, {len(values)} seeds)"
