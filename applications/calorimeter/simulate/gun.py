"""What is shot at a calorimeter: particle, energies, directions, places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hepflows.errors import ConfigError

__all__ = ["PARTICLES", "Gun", "Primaries", "Spread", "particle_pdg"]

Array = npt.NDArray[np.float64]

PARTICLES: dict[str, int] = {"eplus": -11, "eminus": 11, "gamma": 22, "piplus": 211, "piminus": -211}
"""PDG numbers by the names that ``--particle`` takes."""


def particle_pdg(name: str) -> int:
    """PDG number of a particle, by its name in `PARTICLES` or by the number itself.

    Raises:
        ConfigError: neither.

    >>> particle_pdg("eplus"), particle_pdg("-211")
    (-11, -211)
    """
    try:
        return PARTICLES[name] if name in PARTICLES else int(name)
    except ValueError:
        message = f"there is no particle {name!r}: give {', '.join(PARTICLES)}, or a PDG number such as 2212"
        raise ConfigError(message) from None


@dataclass(frozen=True)
class Spread:
    """How a number is spread over the showers.

    Args:
        kind: ``flat`` or ``log`` between two values, or ``list``, any of them with equal chance.
        values: one number, two bounds, or the list.

    >>> Spread.parse("1:100", "--energy").draw(3, np.random.default_rng(0)).round(1)
    array([64.1, 27.7,  5.1])
    >>> Spread.parse("log:1:1000", "--energy").values
    (1.0, 1000.0)
    """

    kind: Literal["flat", "log", "list"]
    values: tuple[float, ...]

    @classmethod
    def parse(cls, text: str, option: str) -> Spread:
        """From ``50``, ``1:100`` (flat), ``log:1:1000`` (flat in the logarithm) or ``10,20,50`` (a list).

        Raises:
            ConfigError: none of these; the message names the option.
        """
        logarithmic = text.startswith("log:")
        body = text.removeprefix("log:")
        try:
            values = tuple(float(part) for part in body.split(":" if ":" in body else ","))
        except ValueError:
            values = ()
        good = bool(values) and bool(np.isfinite(values).all())
        if ":" in body:
            good = good and len(values) == 2 and values[0] < values[1] and (not logarithmic or values[0] > 0)
        elif logarithmic:
            good = False
        if not good:
            message = f"{option} {text}: give a number such as 50, a range such as 1:100 or log:1:1000, or a list such as 10,20,50"
            raise ConfigError(message)
        return cls("log" if logarithmic else "flat" if ":" in body else "list", values)

    @property
    def fixed(self) -> float | None:
        """The only value there is, or None."""
        return self.values[0] if len(set(self.values)) == 1 else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return min(self.values), max(self.values)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` values; a fixed one takes no random numbers."""
        if self.fixed is not None:
            return np.full(n, self.fixed)
        low, high = self.bounds
        if self.kind == "list":
            return np.asarray(self.values)[rng.integers(len(self.values), size=n)]
        return rng.uniform(low, high, n) if self.kind == "flat" else np.exp(rng.uniform(np.log(low), np.log(high), n))

    def __str__(self) -> str:
        text = (":" if self.kind != "list" else ",").join(repr(value).removesuffix(".0") for value in self.values)
        return f"log:{text}" if self.kind == "log" else text


_ZERO = Spread("list", (0.0,))


@dataclass(frozen=True)
class Primaries:
    """n particles on the front face.

    Attributes:
        pdg: PDG number of all.
        energies: kinetic energies in GeV, (n,).
        theta, phi: direction in rad, theta from the beam axis, (n,).
        x, y: place on the front face in mm, (n,).
    """

    pdg: int
    energies: Array
    theta: Array
    phi: Array
    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.energies)

    def __getitem__(self, index: slice) -> Primaries:
        return Primaries(self.pdg, *(values[index] for values in (self.energies, self.theta, self.phi, self.x, self.y)))


@dataclass(frozen=True)
class Gun:
    """A source of particles on the front face of a calorimeter.

    Args:
        pdg: PDG number of the particle.
        energy: kinetic energy in GeV.
        theta: angle from the beam axis in rad, below pi/2.
        phi: azimuth in rad.
        x, y: place on the front face in mm.

    Raises:
        ConfigError: an energy that is not positive, or a direction that does not enter.

    >>> gun = Gun(11, Spread.parse("10,20", "--energy"), theta=Spread.parse("0:0.3", "--theta"))
    >>> primaries = gun.draw(4, np.random.default_rng(1))
    >>> primaries.energies, list(gun.columns(primaries))
    (array([10., 20., 20., 20.]), ['theta', 'phi'])
    """

    pdg: int
    energy: Spread
    theta: Spread = field(default=_ZERO)
    phi: Spread = field(default=_ZERO)
    x: Spread = field(default=_ZERO)
    y: Spread = field(default=_ZERO)

    def __post_init__(self) -> None:
        low, high = self.theta.bounds
        if self.energy.bounds[0] <= 0:
            message = f"--energy {self.energy}: an energy must be positive, give it in GeV"
            raise ConfigError(message)
        if low < 0 or high >= np.pi / 2:
            message = f"--theta {self.theta}: must lie in [0, pi/2) rad, so that the particle enters the calorimeter"
            raise ConfigError(message)

    def draw(self, n: int, rng: np.random.Generator) -> Primaries:
        """``n`` particles."""
        return Primaries(self.pdg, *(getattr(self, name).draw(n, rng) for name in _SPREADS))

    def columns(self, primaries: Primaries) -> dict[str, Array]:
        """Directions and places as columns of `Showers`, where the gun has others than zero."""
        used = {name: getattr(primaries, name) for name in _SPREADS[1:] if getattr(self, name).fixed != 0.0}
        if "theta" in used:
            used["phi"] = primaries.phi  # a direction is both angles
        return used

    def describe(self) -> dict[str, Any]:
        """The settings as numbers and texts; `read` makes the gun again."""
        return {"pdg": self.pdg, **{name: str(getattr(self, name)) for name in _SPREADS}}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Gun:
        """From what `describe` gives."""
        return cls(int(values["pdg"]), **{name: Spread.parse(values[name], f"--{name}") for name in _SPREADS})


_SPREADS = ("energy", "theta", "phi", "x", "y")
