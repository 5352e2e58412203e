"""Speed, accuracy and memory of the core against nflows 0.14, zuko and normflows.

    python -m tests.benchmarks.core [--json out.json] [--repeats 5] [--only maf coupling ...]

One process, one thread, same weights as nflows (zuko and normflows have their own), outputs compared first, all competitors interleaved
call by call; a ratio is nflows' time over the other's, the median of the repetitions with the smallest and the largest. Where
one pass of nflows is multiplied by the passes its inverse takes, the row says "extrapolated", and beside it stands a true
inverse. The limit is the time of the multiplications that the masks allow, at the rate of a matrix product measured in the
same run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import hepflows
from hepflows.kernels import native
from tests.benchmarks.core import rows
from tests.benchmarks.core.accuracy import accuracy
from tests.benchmarks.core.memory import memory
from tests.benchmarks.core.timing import Gemm


def processor() -> str:
    """The processor's name, as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """What a figure depends on."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "kernels": native.in_use(),
        "versions": {
            "hepflows": hepflows.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "nflows", "zuko", "normflows")},
        },
        "commit": commit.stdout.strip(),
    }


def show(name: str, row: dict[str, Any]) -> None:
    """One row, readable."""
    print(f"\n{name}" + (" (extrapolated)" if row.get("extrapolated") else ""))
    for key in ("ms", "mb"):
        if key in row:
            print(f"    {key}: " + ", ".join(f"{who} {value:.4g}" for who, value in row[key].items()))
    for who, (middle, low, high) in row.get("ratio", {}).items():
        print(f"    {who}: {middle:.3g}x [{low:.3g} - {high:.3g}]")
    for key, value in row.items():
        if key in ("gain", "share_of_gemm", "share_of_nflows"):
            print(f"    {key}: " + ", ".join(f"{who} {number:.3g}" for who, number in value.items()))
        elif isinstance(value, float):
            print(f"    {key}: {value:.3g}")


def main() -> None:
    """Print the rows, and write them where asked."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.core",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", help="parts to run; all of them where not given")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    torch.set_num_threads(1)
    gemm = Gemm()
    repeats = arguments.repeats
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "accuracy": lambda: {
            f"accuracy, float32 against float64, weights x {scale:g}": accuracy(scale) for scale in (1.0, 2.0, 3.0)
        },
        "op": lambda: rows.spline_op(repeats),
        "coupling": lambda: rows.coupling(repeats, gemm),
        "residual-coupling": lambda: rows.residual_coupling(repeats, gemm),
        "maf": lambda: rows.maf_training(repeats, gemm),
        "sampling": lambda: rows.maf_sampling(repeats, gemm),
        "residual": lambda: rows.maf_sampling(repeats, gemm, residual=True),
        "headline": lambda: rows.headline(repeats, gemm),
        "threads": lambda: rows.threads(repeats),
        "memory": memory,
    }
    if unknown := set(arguments.only or ()) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}; the parts are {', '.join(parts)}")
    report: dict[str, Any] = {"machine": machine(), "rows": {}}
    print(json.dumps(report["machine"], indent=2))
    for name, part in parts.items():
        if arguments.only and name not in arguments.only:
            continue
        gemm.measure()
        new = part()
        report["rows"] |= new
        for title, row in new.items():
            if "nflows" in row and "hepflows" in row:
                print(f"\n{title}")
                for who in ("nflows", "hepflows"):
                    print(
                        f"    {who}: "
                        + ", ".join(f"{what} max {e['max']:.2e} rms {e['rms']:.2e}" for what, e in row[who].items())
                    )
            else:
                show(title, row)
        if arguments.json:
            report["gemm"] = {"flop_per_second": gemm.rates, "spread": gemm.spread}
            arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nmatrix product: {min(gemm.rates) / 1e9:.0f} - {max(gemm.rates) / 1e9:.0f} Gflop/s", end="")
    print("" if gemm.spread < 1.2 else ": the machine was not quiet, do not quote this run")


if __name__ == "__main__":
    main()
