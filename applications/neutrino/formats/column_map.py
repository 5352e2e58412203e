"""Which branches of a ROOT tree are what: a YAML file, or one that comes with the package."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from hepflows.errors import ConfigError
from hepflows.training.presets import Section

_FOLDER = "column_maps"
PER_UNIT = {"GeV": 1.0, "MeV": 1e-3, "TeV": 1e3}
"""GeV in a unit."""


class Objects(Section):
    """Branches of one kind of objects, each a list of numbers an event, or one number.

    Attributes:
        pt: transverse momentum.
        eta: pseudorapidity.
        phi: azimuth.
        energy: energy, or ``mass`` instead.
        mass: mass.
        flavour: leptons: ``electron``, ``muon``, or a branch of which 0 means an electron.
        charge: leptons: a branch; with two leptons the positive one comes first.
    """

    pt: str
    eta: str
    phi: str
    energy: str | None = None
    mass: str | None = None
    flavour: str | None = None
    charge: str | None = None

    @property
    def branches(self) -> list[str]:
        """All that are read."""
        flavour = None if self.flavour in ("electron", "muon") else self.flavour
        names = (self.pt, self.eta, self.phi, self.energy, self.mass, flavour, self.charge)
        return [name for name in names if name is not None]


class Missing(Section):
    """Missing transverse momentum: size and azimuth.

    Attributes:
        pt: its size.
        phi: its azimuth.
    """

    pt: str
    phi: str


class ColumnMap(Section):
    """How the branches of a tree become events.

    Attributes:
        tree: its name; found out where there is only one.
        units: of all energies in the file, GeV, MeV or TeV.
        missing: see `Missing`.
        leptons: one or several collections; the hardest leptons of all of them count.
        jets: see `Objects`.
        btag: branch of the b-tagging score of each jet.
        working_point: a jet with a larger score is tagged.
        n_jets: branch of the number of jets; counted where not given. A branch that the file lacks counts as not given.
        n_bjets: the same of jets with a b tag.
        neutrinos: true neutrinos, where there are any.
        weight: event weights, where there are any.
    """

    tree: str | None = None
    units: Literal["GeV", "MeV", "TeV"] = "GeV"
    missing: Missing
    leptons: list[Objects] = Field(min_length=1)
    jets: Objects
    btag: str
    working_point: float = 0.5
    n_jets: str | None = None
    n_bjets: str | None = None
    neutrinos: Objects | None = None
    weight: str | None = None

    @model_validator(mode="after")
    def _complete(self) -> ColumnMap:
        for what, one in [*(("leptons", lepton) for lepton in self.leptons), ("jets", self.jets)]:
            if (one.energy is None) == (one.mass is None):
                message = f"{what} need either energy or mass"
                raise ValueError(message)
        if any(one.flavour is None for one in self.leptons):
            message = "leptons need a flavour: electron, muon, or a branch"
            raise ValueError(message)
        return self

    @property
    def required(self) -> list[str]:
        """Branches that a file must have."""
        objects = [branch for one in (*self.leptons, self.jets) for branch in one.branches]
        return list(dict.fromkeys([self.missing.pt, self.missing.phi, *objects, self.btag]))

    @property
    def optional(self) -> list[str]:
        """Branches that are read where they are there."""
        truth = [] if self.neutrinos is None else self.neutrinos.branches
        return [*truth, *(name for name in (self.n_jets, self.n_bjets, self.weight) if name is not None)]


def names() -> list[str]:
    """Maps that come with the package."""
    folder = resources.files("hepflows.applications.neutrino") / _FOLDER
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load(name: str) -> ColumnMap:
    """A map that comes with the package, or one of your own.

    Args:
        name: see `names`, or the path of a YAML file.

    Raises:
        ConfigError: there is none, or it is not complete.

    >>> load("nanoaod").jets.pt
    'Jet_pt'
    """
    try:
        if name in names():
            text = (resources.files("hepflows.applications.neutrino") / _FOLDER / f"{name}.yaml").read_text()
        elif name.endswith((".yaml", ".yml")):
            text = Path(name).read_text()
        else:
            message = (
                f"there is no column map {name!r}: choose one of {', '.join(names())}, or give the path of a YAML file"
            )
            raise ConfigError(message)
        values: Any = yaml.safe_load(text)
        return ColumnMap.model_validate(values)
    except (OSError, yaml.YAMLError) as error:
        message = f"{name}: cannot be read as YAML ({error})"
        raise ConfigError(message) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = f"{name}: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        raise ConfigError(message) from None
