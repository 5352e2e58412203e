"""Which particles a sample of generated showers comes from: those of the training set, or those that a user asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.spread import Spread
from hepflows.errors import DomainError

_QUANTILES = 1001
_PARTICLES = 5000
_LARGEST = 1e100  # the square of a condition is a number still
_FEW = 100
"""So many different energies in a training set are a list and not a spectrum."""


class Incident(nn.Module):
    """The incident particles of a training set, to draw from.

    Without conditions energies follow the quantiles of the training set, or its list of at most 100 different energies, each with
    its share; with conditions energy and conditions are drawn together, from 5,000 of its particles.

    Args:
        names: the columns that a model is conditioned on.
    """

    quantiles: Tensor
    values: Tensor
    ends: Tensor
    particles: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)
        self.register_buffer("quantiles", torch.zeros(_QUANTILES, dtype=torch.float64))
        self.register_buffer("values", torch.zeros(_FEW, dtype=torch.float64))
        self.register_buffer("ends", torch.zeros(_FEW, dtype=torch.float64))
        rows = _PARTICLES if self.names else 0
        self.register_buffer("particles", torch.zeros(rows, 1 + len(self.names), dtype=torch.float64))

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *others: Any) -> None:
        quantiles = state.get(f"{prefix}quantiles")
        if quantiles is not None:  # older files have a list of energies as quantiles alone
            for name, numbers in zip(("values", "ends"), _listed(quantiles.numpy(), np.ones(_QUANTILES)), strict=True):
                state.setdefault(f"{prefix}{name}", torch.as_tensor(numbers))
        super()._load_from_state_dict(state, prefix, *others)

    def fit(self, showers: Showers, rows: np.ndarray, rng: torch.Generator) -> None:
        """Take note of the particles of a training set; showers with weights count by them."""
        energies, weights = showers.energies[rows], showers.weights[rows]
        self.quantiles.copy_(torch.as_tensor(_quantiles(energies, weights)))
        for buffer, numbers in zip((self.values, self.ends), _listed(energies, weights), strict=True):
            buffer.copy_(torch.as_tensor(numbers))
        if self.names:
            table = np.stack([energies, *(showers.columns[name][rows] for name in self.names)], 1)
            order = np.lexsort(table.T)
            table, ends = (
                table[order],
                np.cumsum(weights[order].clip(min=0.0)),
            )  # what weighs less than nothing is not drawn
            # one of each of so many equal parts of what is sorted, so that a rare energy or species has its share
            position = (
                torch.arange(_PARTICLES) + torch.rand(_PARTICLES, generator=rng, dtype=torch.float64)
            ) / _PARTICLES
            drawn = np.searchsorted(ends, position.numpy() * ends[-1], side="right").clip(max=len(ends) - 1)
            self.particles.copy_(torch.as_tensor(table[drawn]))

    def at(self, position: Tensor, species: np.ndarray | None = None) -> tuple[Tensor, dict[str, np.ndarray]]:
        """The particles at (n,) positions in [0, 1) of the training set, or of its showers of (n,) species: energies in GeV, columns."""
        if self.names:
            drawn = self.particles[self._rows(position, species)]
            return drawn[:, 0], {name: drawn[:, place].numpy() for place, name in enumerate(self.names, 1)}
        if self.ends[-1] > 0:
            return self.values[torch.searchsorted(self.ends, position, right=True)], {}
        position = position * (_QUANTILES - 1)
        low = position.floor().long()
        fraction = position - low
        return self.quantiles[low] * (1 - fraction) + self.quantiles[low + 1] * fraction, {}

    def _rows(self, position: Tensor, species: np.ndarray | None) -> Tensor:
        rows = (position * _PARTICLES).long()
        for number in () if species is None else np.unique(species):
            mine = torch.nonzero(self.particles[:, 1 + self.names.index("pdg")] == number).squeeze(1)
            wanted = torch.as_tensor(species == number)
            if len(mine):
                rows[wanted] = mine[(position[wanted] * len(mine)).long()]
        return rows

    def beyond(self, asked: Asked) -> list[str]:
        """What is asked for beyond what the model was trained on, each in a few words."""
        ranges = {"energy": self.quantiles[[0, -1]]} if self.quantiles.any() else {}
        ranges |= {
            name: self.particles[:, 1 + k].sort().values[[0, -1]] for k, name in enumerate(self.names) if name != "pdg"
        }
        given: dict[str, np.ndarray] = dict(asked.columns)
        if asked.energies is not None:
            given["energy"] = asked.energies
        elif asked.spread is not None:
            given["energy"] = np.asarray(asked.spread.bounds)
        found = []
        for name, values in given.items():
            low, high = (float(edge) for edge in ranges.get(name, (-np.inf, np.inf)))
            margin = 0.02 * (high - low)
            if values.min() < low - margin or values.max() > high + margin:
                found.append(f"{name} {values.min():g} to {values.max():g}, trained on {low:.4g} to {high:.4g}")
        return found

    def asked(
        self,
        showers: int | np.ndarray,
        columns: Mapping[str, np.ndarray | float] | None = None,
        spread: Spread | str | None = None,
    ) -> Asked:
        """What a user asks for, checked.

        Raises:
            DomainError: no showers, energies that are not positive, energies in both ways or none, or columns that do not fit.
            ConfigError: a text that is no spread.
        """
        n, energies = _asked_for(showers)
        spread = _spread(spread)
        if spread is not None and (energies is not None or spread.bounds[0] <= 0):
            message = f"energies {spread} must be positive, in GeV, and stand beside a number of showers, not beside a list of energies"
            raise DomainError(message)
        if n < 1:
            message = f"the number of showers must be at least 1, got {n}"
            raise DomainError(message)
        if energies is None and spread is None and not self.quantiles.any():
            message = (
                "the model has not been trained and knows no incident energies: fit it first, or say which energies"
            )
            raise DomainError(message)
        if energies is not None and (energies.ndim != 1 or not np.isfinite(energies).all() or (energies <= 0).any()):
            message = "incident energies must be a list of positive numbers in GeV"
            raise DomainError(message)
        known = {name: np.asarray(values, dtype=np.float64) for name, values in (columns or {}).items()}
        for name, values in known.items():
            if not np.isfinite(values).all() or np.abs(values).max() > _LARGEST:
                message = f"the condition {name!r} must be finite numbers, but got {values.ravel()[0]:g}: give others"
                raise DomainError(message)
            if name not in self.names or values.shape not in ((), (n,)):
                expected = f"takes {', '.join(self.names)}" if self.names else "is conditioned on the energy alone"
                message = (
                    f"the model {expected}, a number or {n} numbers each, but got {name!r} of the shape {values.shape}"
                )
                raise DomainError(message)
        return Asked(self, n, energies, spread, known)


def _asked_for(showers: int | np.ndarray) -> tuple[int, np.ndarray | None]:
    """How many showers, and their energies where these are listed."""
    if isinstance(showers, int | np.integer):
        return int(showers), None
    if np.ndim(showers) == 0:
        message = f"give how many showers as a whole number, or their energies in GeV as a list, but not {showers!r}"
        raise DomainError(message)
    return len(showers), np.asarray(showers, dtype=np.float64)


def _spread(energies: Spread | str | None) -> Spread | None:
    """The spread of energies that a text means."""
    if isinstance(energies, str):
        return Spread.parse(energies, "energies")
    if energies is not None and not isinstance(energies, Spread):
        kind = type(energies).__name__
        message = f"energies must be a text such as '50' or '1:100', or a Spread, but not of type {kind}: a list goes first, sample(list)"
        raise DomainError(message)
    return energies


def _listed(energies: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Few different energies and where their cumulative shares end, the last one repeated to fill 100; zeros where there are more."""
    values, index = np.unique(energies, return_inverse=True)
    if len(values) > _FEW:
        return np.zeros(_FEW), np.zeros(_FEW)
    shares = np.bincount(index, weights).clip(min=0.0)  # what weighs less than nothing is not drawn
    ends, missing = np.cumsum(shares), (0, _FEW - len(values))
    return np.pad(values, missing, mode="edge"), np.pad(ends / ends[-1], missing, mode="edge")


def _quantiles(energies: np.ndarray, weights: np.ndarray) -> np.ndarray:
    order = np.argsort(energies)
    energies, weights = energies[order], weights[order]
    wanted, shares = np.linspace(0, 1, _QUANTILES), weights / weights.sum()
    found = np.interp(wanted, np.cumsum(shares) - 0.5 * shares, energies)
    return np.asarray(found, dtype=np.float64)


@dataclass(frozen=True)
class Asked:
    """Incident particles, a block at a time."""

    source: Incident
    n: int
    energies: np.ndarray | None
    spread: Spread | None
    columns: dict[str, np.ndarray]

    def __len__(self) -> int:
        return self.n

    @property
    def description(self) -> dict[str, str]:
        """For the attributes of a file."""
        listed = None if self.energies is None else f"a list of {self.n} energies"
        texts = {"energy_spectrum": listed or ("as in training" if self.spread is None else f"{self.spread} GeV")}
        if self.columns:
            given = (
                f"{name} {values:g}" if values.ndim == 0 else f"a list of {name}"
                for name, values in self.columns.items()
            )
            texts["conditions"] = ", ".join(given)
        return texts

    def particles(self, start: int, position: Tensor, elsewhere: Tensor) -> tuple[Tensor, dict[str, np.ndarray]]:
        """Energies in GeV and columns from particle ``start`` on.

        Args:
            start: number of the first particle.
            position: (n,) random positions in [0, 1), where what is not given is taken in the training set.
            elsewhere: (n,) other ones, where energies are taken in the spread that was asked for.
        """
        rows = slice(start, start + len(position))
        given = {name: np.broadcast_to(values, self.n)[rows] for name, values in self.columns.items()}
        energies, columns = self.source.at(position, given.get("pdg"))
        if self.energies is not None:
            energies = torch.as_tensor(self.energies[rows])
        elif self.spread is not None:
            energies = torch.as_tensor(self.spread.at(elsewhere.numpy()))
        return energies, {**columns, **given}
