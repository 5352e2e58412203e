"""An integration that several processes share, or that is killed: started as a program of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from hepflows.applications.integration import FlowIntegrator
from hepflows.training import connect

CENTRE = 0.3


def f(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-((x - CENTRE) ** 2).sum(1) / 0.02))


class Dying:
    """Calls the function so often, then is killed."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return f(x)


def failing(x: np.ndarray) -> np.ndarray:
    if (x[:, 0] > 0.99).any():
        message = "no value there"
        raise ValueError(message)
    return f(x)


def main() -> None:
    what, out = sys.argv[1], Path(sys.argv[2])
    if what == "die":
        FlowIntegrator([(0, 1)] * 3, seed=4)(Dying(9), 20_000, method="flow", journal=out)
        return
    with connect() as world:
        integ = FlowIntegrator([(0, 1)] * 3, seed=4, world=world)
        result = integ(failing if what == "fail" else f, 20_000, method="flow")
        seen = {"mean": result.mean, "sdev": result.sdev, "calls": result.neval}
        Path(f"{out}.{world.rank}").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
