"""Errors and pulls of integrals of known value, beside vegas and madnis, in one process and seed by seed in turn.

    python -m tests.benchmarks.integration --seeds 40 --json out.json [--cases gauss4,camel16] [--methods "vegas,madnis,ours: flow"]

One thread. ``error`` is the median of the quoted relative errors, ``rms`` that of the true ones, ``pull`` the RMS of (estimate - truth) /
quoted error and ``mean`` their mean, ``flagged`` how many runs say that they are not to be believed (for vegas: Q < 0.05). The file is
written anew after every case, so that a run that was stopped has not been for nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from hepflows.applications.integration import INTEGRANDS, PROCESSES, Integrand
from hepflows.io.atomic import replacing
from tests.benchmarks.integration.methods import Outcome, madnis, ours, peer

CASES = (
    "gauss2", "gauss4", "gauss8", "gauss16", "camel2", "camel4", "camel8", "camel16", "circles", "annulus", "ball4", "ridge4", "ridge4s",
    "ridge8", "poly18", "osc5", "toploop", "ee3j_2d", "ee3j_5d", "drell_yan", "vector_pair_flat", "cascade_5",
)  # fmt: skip
METHODS: dict[str, Callable[[Integrand, int, int], Outcome]] = {
    "vegas": peer,
    "madnis": madnis,
    "ours: vegas": lambda case, neval, seed: ours(case, neval, seed, "vegas"),
    "ours: auto": lambda case, neval, seed: ours(case, neval, seed, "auto"),
    "ours: flow": lambda case, neval, seed: ours(case, neval, seed, "flow"),
    "ours: annealed": lambda case, neval, seed: ours(case, neval, seed, "flow", "annealed"),
    "ours: distilled": lambda case, neval, seed: ours(case, neval, seed, "flow", "distilled"),
}


def summary(outcomes: list[Outcome], truth: float) -> dict[str, float]:
    """The numbers of one row of the table."""
    mean, sdev = np.array([o.mean for o in outcomes]), np.array([o.sdev for o in outcomes])
    pulls = (mean - truth) / np.maximum(sdev, 1e-300)
    return {
        "error": float(np.median(sdev) / abs(truth)),
        "rms": float(np.sqrt(np.mean((mean / truth - 1) ** 2))),
        "pull": float(np.sqrt(np.mean(pulls**2))),
        "mean pull": float(pulls.mean()),
        "p": float(2 * min(stats.chi2.cdf((pulls**2).sum(), len(pulls)), stats.chi2.sf((pulls**2).sum(), len(pulls)))),
        "flagged": sum(not o.reliable for o in outcomes),
        "seconds": float(np.median([o.seconds for o in outcomes])),
        "training": float(np.median([o.training for o in outcomes])),
        "ess": float(np.median([o.ess for o in outcomes])),
        "efficiency": float(np.median([o.efficiency for o in outcomes])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--neval", type=float, default=1e6)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--methods", default="vegas,ours: vegas")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    neval = int(chosen.neval)
    versions = {name: version(name) for name in ("vegas", "numpy", "torch", "hepflows")}
    table: dict[str, dict[str, object]] = {}
    print(
        f"{'case':16s} {'method':12s} {'error':>9s} {'rms':>9s} {'pull':>5s} {'mean':>6s} {'flagged':>7s} {'s':>7s}  ess    eff"
    )
    for name in chosen.cases.split(","):
        case = {**INTEGRANDS, **PROCESSES}[name]()
        methods = [method.strip() for method in chosen.methods.split(",")]
        outcomes: dict[str, list[Outcome]] = {method: [] for method in methods}
        for seed in range(chosen.seeds):
            for method in methods:
                outcomes[method].append(METHODS[method](case, neval, seed))
        assert case.truth is not None
        rows = {method: summary(outcomes[method], case.truth) for method in methods}
        for method, row in rows.items():
            print(
                f"{name:16s} {method:12s} {row['error']:9.2e} {row['rms']:9.2e} {row['pull']:5.2f} {row['mean pull']:+6.2f} "
                f"{row['flagged']:4.0f}/{chosen.seeds:<3d} {row['seconds']:6.2f}  {row['ess']:.3f}  {row['efficiency']:.3f}",
                flush=True,
            )
        table[name] = {
            "truth": case.truth,
            "rows": rows,
            "runs": {m: [asdict(o) for o in outcomes[m]] for m in methods},
        }
        if chosen.json:
            with replacing(chosen.json) as temporary:
                content = {"neval": neval, "seeds": chosen.seeds, "versions": versions, "cases": table}
                Path(temporary).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
