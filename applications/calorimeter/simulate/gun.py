"""What is shot at a calorimeter: particle, energies, directions, places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.spread import Spread
from hepflows.errors import ConfigError

__all__ = ["PARTICLES", "Gun", "Primaries", "particle_pdg"]

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
    (array([20., 20., 10., 20.]), ['theta', 'phi'])
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
