"""Peak memory of a training step above the model, each competitor in a process of its own.

python -m tests.benchmarks.core.memory nflows|reference|compiled
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

COMPETITORS = ("nflows", "reference", "compiled")


def resident(what: str = "VmRSS") -> float:
    """Resident memory now, or with ``VmHWM`` its largest value since it was reset, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) * 1024 / 1e6


def peak(competitor: str, batch: int = 1000, blocks: int = 4) -> float:
    """Largest resident memory of one training step with Adam, above that of the model and its inputs, MB."""
    import torch

    from hepflows.kernels import native
    from tests.benchmarks.core import models
    from tests.benchmarks.core.rows import step

    torch.set_num_threads(1)
    if competitor == "reference":
        native.use("reference")
    pair = models.maf(blocks)
    model = pair.nflows if competitor == "nflows" else pair.hepflows
    del pair
    x, context = 3 * torch.randn(batch, models.FEATURES), torch.randn(batch, models.CONTEXT)
    call = step(model, lambda: -model.log_prob(x, context).mean())
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # freed memory goes back, so that nobody's step can hide in it
    Path("/proc/self/clear_refs").write_text("5")  # the largest value starts anew
    before = resident()
    call()
    return resident("VmHWM") - before


def memory() -> dict[str, Any]:
    """One row: the peak of each, and nflows' over ours."""
    peaks = {}
    for competitor in COMPETITORS:
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.core.memory", competitor]
        peaks[competitor] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ratio = {name: peaks[name] / peaks["nflows"] for name in COMPETITORS[1:]}
    return {"peak memory of a training step, B=1000, 4 blocks": {"mb": peaks, "share_of_nflows": ratio}}


if __name__ == "__main__":
    print(json.dumps(peak(sys.argv[1])))
