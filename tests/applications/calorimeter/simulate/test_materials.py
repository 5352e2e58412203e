"""Constants of materials, against the Review of Particle Physics and against Geant4's own list of materials."""

from __future__ import annotations

import calzone
import pytest

from hepflows.applications.calorimeter.simulate.materials import COMMON, SYMBOLS, Material, atomic_number, resolve
from hepflows.errors import ConfigError

# radiation length (g/cm2), critical energy of electrons (MeV), minimum loss (MeV cm2/g), pion interaction length (g/cm2): pdg.lbl.gov
PDG = {
    "G4_Al": (24.01, 42.70, 1.615, 136.7),
    "G4_Si": (21.82, 40.19, 1.664, 137.7),
    "G4_lAr": (19.55, 32.84, 1.508, 149.0),
    "G4_Fe": (13.84, 21.68, 1.451, 160.8),
    "G4_Cu": (12.86, 19.42, 1.403, 165.9),
    "G4_W": (6.76, 7.97, 1.145, 218.7),
    "G4_Pb": (6.37, 7.43, 1.122, 226.2),
    "G4_POLYSTYRENE": (43.79, 93.11, 1.936, 113.7),
    "G4_PbWO4": (7.39, 9.64, 1.229, 200.9),
    "G4_WATER": (36.08, 78.33, 1.992, 117.5),
}


@pytest.mark.parametrize("name", PDG)
def test_constants_are_those_of_the_review_of_particle_physics(name: str) -> None:
    material = resolve(name)
    per_area = 0.1 * material.density
    length, critical, loss, pion = PDG[name]
    assert material.radiation_length_mm * per_area == pytest.approx(length, rel=0.002)
    assert material.critical_energy_mev == pytest.approx(critical, rel=0.05)
    assert material.minimum_mev_per_mm / per_area == pytest.approx(loss, rel=0.05)
    assert material.pion_length_mm * per_area == pytest.approx(pion, rel=0.04)


@pytest.mark.parametrize("name", COMMON)
def test_the_table_has_the_composition_that_geant4_uses(name: str) -> None:
    theirs = calzone.describe(material=name)
    assert COMMON[name].density == pytest.approx(theirs.density, rel=1e-3)
    assert (theirs.state == "gas") == COMMON[name].gas
    fractions = {atomic_number(symbol): fraction for symbol, fraction in theirs.composition}
    assert COMMON[name].elements == pytest.approx(fractions, abs=2e-5)


def test_any_material_of_geant4_is_found() -> None:
    pyrex = resolve("G4_Pyrex_Glass")
    assert pyrex.density == pytest.approx(2.23)
    assert sum(pyrex.elements.values()) == pytest.approx(1)
    assert pyrex.radiation_length_mm == pytest.approx(126.9, rel=0.01)


def test_a_material_of_ones_own_comes_first() -> None:
    mine = Material("absorber", 7.9, {26: 1.0})
    assert resolve("absorber", {"absorber": mine}) is mine


@pytest.mark.parametrize("name", ["G4_Pbb", "lead", ""])
def test_an_unknown_material_is_an_error_that_says_what_to_do(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is unknown: write its density and elements under materials: .*G4_Pb"):
        resolve(name)


def test_symbols() -> None:
    assert [atomic_number(symbol) for symbol in ("H", "Fe", "U", "Pu")] == [1, 26, 92, 94]
    assert len(set(SYMBOLS)) == 94
    with pytest.raises(ConfigError, match="no chemical element 'Xx'"):
        atomic_number("Xx")
