"""Showers from an ONNX file in ONNX Runtime against `CaloFlow.sample`: ms a shower, noise included, by batch and threads.

    python -m tests.benchmarks.calorimeter.onnx_sampler [--repeats 5] [--json onnx.json]

The model is the coupling flow of the preset ``demo`` on CaloGAN's 504 voxels with weights as they are drawn: what they are does not
change the time. Both are called in turn; the median of the repetitions counts, and the ratio of the times of each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from hepflows.applications.calorimeter import CaloFlow, load_config
from hepflows.applications.calorimeter.export import export_showers
from hepflows.kernels import native
from tests.benchmarks.core.timing import compare

BATCHES = 1, 100, 10_000
WIDTH = 507  # noise of one shower: 3 layers and 504 voxels


def row(model: CaloFlow, path: Path, batch: int, threads: int, repeats: int) -> dict[str, Any]:
    """Times of one batch, ms a shower."""
    torch.set_num_threads(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    energies, rng = np.linspace(1, 100, batch), np.random.default_rng(0)

    def onnx() -> None:
        noise = rng.standard_normal((batch, WIDTH), dtype=np.float32)
        session.run(None, {"energy": energies.astype(np.float32), "noise": noise})

    calls = {"hepflows": lambda: model.sample(energies, seed=1), "onnxruntime": onnx}
    found = compare(calls, repeats if batch > 100 else 10 * repeats, baseline="hepflows")
    milliseconds = {name: value / batch for name, value in found["ms"].items()}
    return {"ms": milliseconds, "ratio": found["ratio"]["onnxruntime"]}


def main() -> None:
    """Print the rows, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    arguments = parser.parse_args()
    model = CaloFlow(config=load_config("demo", ["model.kind=coupling"]).model, seed=1)
    model.incident.quantiles.copy_(torch.linspace(1, 100, len(model.incident.quantiles)))
    report: dict[str, Any] = {
        "kernels": native.in_use(),
        "versions": {name: version(name) for name in ("torch", "onnxruntime")},
        "rows": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        started = time.perf_counter()
        report["difference"] = export_showers(model, path)
        report["export_seconds"] = time.perf_counter() - started
        report["megabytes"] = path.stat().st_size / 1e6
        print(json.dumps(report, indent=2))
        for threads in (1, 2):
            for batch in BATCHES:
                found = row(model, path, batch, threads, arguments.repeats)
                report["rows"][f"batch {batch}, threads {threads}"] = found
                ms, (middle, low, high) = found["ms"], found["ratio"]
                print(
                    f"batch {batch:6d}, threads {threads}: hepflows {ms['hepflows']:.3g} ms, onnxruntime {ms['onnxruntime']:.3g} ms a "
                    f"shower, ratio {middle:.2f} [{low:.2f} - {high:.2f}]"
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
