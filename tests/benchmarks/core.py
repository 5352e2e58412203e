"""Speed of the core against nflows 0.14: same process, same weights, one thread, interleaved, medians of ratios.

    python -m tests.benchmarks.core [--json out.json] [--batch 100] [--repeats 7]

Outputs are checked against nflows, and both against float64, before anything is timed. A row that multiplies one
pass by a number of passes says "extrapolated"; beside it stands one true inverse of nflows at a small batch.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from nflows.transforms import MaskedPiecewiseRationalQuadraticAutoregressiveTransform

from hepflows.bijections import Bijection
from hepflows.nflows_adapter import from_nflows

FEATURES, HIDDEN, CONTEXT, BOUND = 504, 378, 4, 14.0


def milliseconds(function: Callable[[], Any]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - started)


def against(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int, factor: int = 1) -> dict[str, Any]:
    """Interleaved timings; the ratio is taken repetition by repetition. ``factor`` multiplies their time."""
    ours(), theirs()
    pairs = [(milliseconds(ours), factor * milliseconds(theirs)) for _ in range(repeats)]
    ratios = sorted(b / a for a, b in pairs)
    return {
        "ours_ms": statistics.median(a for a, _ in pairs),
        "nflows_ms": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
        "extrapolated": factor > 1,
    }


def models(seed: int = 0) -> tuple[torch.nn.Module, Bijection]:
    """One block of CaloFlow's MAF in nflows, away from its start, and ours with the same weights."""
    torch.manual_seed(seed)
    theirs = MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
        FEATURES,
        HIDDEN,
        context_features=CONTEXT,
        num_bins=8,
        tails="linear",
        tail_bound=BOUND,
        num_blocks=1,
        use_residual_blocks=False,
    ).eval()
    return theirs, from_nflows(theirs).eval()


def accuracy(theirs: torch.nn.Module, ours: Bijection, batch: int) -> dict[str, float]:
    """Largest difference from the float64 solution, of ours and of nflows' own float32 inverse (at batch 4)."""
    z, context = torch.randn(batch, FEATURES), torch.randn(batch, CONTEXT)
    with torch.no_grad():
        x, _ = ours.inverse(z, context)
        double = from_nflows(theirs.double())
        exact, _ = double.inverse(z.double(), context.double())
        theirs.float()
        few = slice(0, 4)
        reference, _ = theirs.inverse(z[few], context[few])
        back, _ = double(x.double(), context.double())
    return {
        "ours_max_error": float((x - exact).abs().max()),
        "nflows_max_error": float((reference - exact[few]).abs().max()),
        "ours_max_error_same_events": float((x[few] - exact[few]).abs().max()),
        "ours_round_trip": float((back - z).abs().max()),
    }


def measure(batch: int, repeats: int) -> dict[str, Any]:
    """All rows, each by its own function below."""
    theirs, ours = models()
    rows: dict[str, Any] = {"accuracy of the inverse, float32 against float64": accuracy(theirs, ours, batch)}
    for size in sorted({batch, 1000}):
        rows[f"inverse, B={size}: against one nflows pass x {FEATURES}"] = inverse(ours, theirs, size, repeats)
    rows["inverse, B=4: against one true nflows inverse"] = true_inverse(ours, theirs, 4)
    for size in (200, 1000):
        rows[f"training step without optimiser, B={size}"] = training_step(ours, theirs, size, repeats)
    return rows


@torch.no_grad()
def inverse(ours: Bijection, theirs: torch.nn.Module, size: int, repeats: int) -> dict[str, Any]:
    """Our exact inverse against one forward pass of nflows, times the passes its inverse takes."""
    z, context = torch.randn(size, FEATURES), torch.randn(size, CONTEXT)
    return against(lambda: ours.inverse(z, context), lambda: theirs(z, context), repeats, FEATURES)


@torch.no_grad()
def true_inverse(ours: Bijection, theirs: torch.nn.Module, size: int) -> dict[str, Any]:
    """Both inverses as they are, once."""
    z, context = torch.randn(size, FEATURES), torch.randn(size, CONTEXT)
    return against(lambda: ours.inverse(z, context), lambda: theirs.inverse(z, context), 1)


def training_step(ours: Bijection, theirs: torch.nn.Module, size: int, repeats: int) -> dict[str, Any]:
    """Loss and gradients of a batch."""
    x, context = 3 * torch.randn(size, FEATURES), torch.randn(size, CONTEXT)
    return against(lambda: _step(ours, x, context), lambda: _step(theirs, x, context), repeats)


def _step(transform: torch.nn.Module, x: torch.Tensor, context: torch.Tensor) -> None:
    z, ladj = transform(x, context)
    (0.5 * z.square().sum(-1) - ladj).mean().backward()
    transform.zero_grad(set_to_none=True)


def main() -> None:
    """Print the rows, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    machine = {
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
    }
    rows = measure(arguments.batch, arguments.repeats)
    print(machine)
    for name, row in rows.items():
        if "ratio" in row:
            note = " (extrapolated)" if row["extrapolated"] else ""
            spread = f"{row['ratio_min']:.3g}-{row['ratio_max']:.3g}"
            print(f"{name}: {row['ratio']:.3g}x [{spread}]{note}  {row['ours_ms']:.4g} ms / {row['nflows_ms']:.4g} ms")
        else:
            print(f"{name}: " + ", ".join(f"{key} {value:.3g}" for key, value in row.items()))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"machine": machine, "rows": rows}, file, indent=2)


if __name__ == "__main__":
    main()
