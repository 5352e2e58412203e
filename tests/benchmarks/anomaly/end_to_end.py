"""Wall time of the default search of 250,000 events from the file to the report, and its peak memory.

    python -m tests.benchmarks.anomaly.end_to_end --seeds 0:3 --json end_to_end.json [--events 250000]

Runs the command line in a process of its own; ``peak_mb`` is the largest resident memory of it or of one of its workers.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.anomaly.journal import measure, middle, parser


def main() -> None:
    options = parser(__doc__, seeds="0:3", events=250_000)
    options.add_argument("--method", default="cathode")
    chosen = options.parse_args()

    def one(seed: int) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            command = [sys.executable, "-m", "hepflows.cli", "anomaly"]
            events = [
                "simulate",
                "--background",
                str(chosen.events),
                "--seed",
                str(seed),
                "-o",
                str(folder / "events.hdf5"),
            ]
            subprocess.run([*command, *events], check=True, stdout=subprocess.DEVNULL)
            search = [
                "run", str(folder / "events.hdf5"), "--out", str(folder / "run"), "--units", "TeV", "--resonance", "mJJ", "--features",
                "mJ1,dmJ,tau21_1,tau21_2", "--signal-region", "3.3:3.7", "--method", chosen.method, "--preset", chosen.preset,
                "--seed", str(seed), "--jobs", str(chosen.jobs), *(part for one in chosen.settings for part in ("--set", one)),
            ]  # fmt: skip
            subprocess.run([*command, *search], check=True, stdout=subprocess.DEVNULL)
            metrics = json.loads((folder / "run" / "metrics.json").read_text())
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        names = ("train_seconds", "max_sic", "auc_sideband", "auc_sideband_floor", "n_sideband_test", "significance")
        return {**{name: metrics[name] for name in names}, "peak_mb": round(peak)}

    rows = measure(chosen, one, setting={"method": chosen.method})
    for name in ("seconds", "train_seconds", "peak_mb", "auc_sideband", "auc_sideband_floor"):
        values = [row[name] for row in rows if row[name] is not None]
        if values:
            print(name, middle(values))


if __name__ == "__main__":
    main()
