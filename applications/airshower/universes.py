"""Universes to learn from: their parameters, and what a flow is shown of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hepflows.applications.airshower.config import AirshowerConfig
from hepflows.applications.airshower.fitting import Fitter
from hepflows.applications.airshower.forward import ForwardModel
from hepflows.training.checkpoint import load_tensors, save_tensors
from hepflows.training.loop import Progress
from hepflows.training.seeding import generator

Noise = Callable[[Tensor, torch.Generator], Tensor]

_BLOCK = 4096


def features(counts: Tensor) -> Tensor:
    """Counts (..., 420) as a network takes them: the logarithm of the spectrum, the square root of Xmax."""
    spectrum, xmax = counts[..., :15], counts[..., 15:]
    return torch.cat([torch.log(spectrum + 0.5), torch.sqrt(xmax + 0.375)], -1)


def _noisy(expected: Tensor, rng: torch.Generator) -> Tensor:
    return features(torch.poisson(expected, generator=rng))


@dataclass(frozen=True)
class Universes:
    """A table of simulated universes.

    Args:
        theta: (N, 8) parameters.
        shown: (N, D) what the flow is shown, or what it is made from.
        noise: makes that from the table, anew in every epoch; None where nothing is left to draw.
    """

    theta: Tensor
    shown: Tensor
    noise: Noise | None

    @classmethod
    def simulate(
        cls, config: AirshowerConfig, seed: int, *, folder: Path | None = None, progress: Progress | None = None
    ) -> Universes:
        """Draw from the prior; counts that are fitted have their noise once, those shown as they are get it in every epoch.

        Args:
            config: prior, model, number, and what is shown.
            seed: of parameters and noise.
            folder: where finished blocks of fits are kept, for a run that is interrupted.
            progress: called after every block.
        """
        prior, model = config.prior.prior(), ForwardModel(config.response, config.xmax)
        theta = prior.draw(config.universes, generator=generator(seed, "universes"))
        blocks = torch.split(theta, _BLOCK)
        fitter = Fitter(model, prior) if config.observables == "fit" else None
        parts, done = [], 0
        for number, rows in enumerate(blocks):
            if fitter is None:
                parts.append(model.expected(rows).float())
            else:
                counts = model.simulate(rows, generator=generator(seed, "counts", number))
                parts.append(_kept(folder, number, lambda counts=counts: fitter(counts).float()))  # type: ignore[misc]
            done += len(rows)
            if progress is not None:
                progress(done, len(theta), "universes")
        return cls(theta, torch.cat(parts), _noisy if fitter is None else None)


def forget(folder: Path) -> None:
    """Remove the blocks that `Universes.simulate` kept."""
    shutil.rmtree(folder, ignore_errors=True)


def _kept(folder: Path | None, number: int, make: Callable[[], Tensor]) -> Tensor:
    """A block from its file, or made and written to it."""
    if folder is None:
        return make()
    path = folder / f"{number:06d}.safetensors"
    if path.exists():
        return load_tensors(path)[0]["shown"]
    folder.mkdir(exist_ok=True)
    block = make()
    save_tensors(path, {"shown": block}, {})
    return block
