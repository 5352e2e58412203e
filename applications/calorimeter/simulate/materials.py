"""Materials of calorimeters, and what an electromagnetic or a hadronic shower sees of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hepflows.errors import ConfigError

__all__ = [
    "ELECTRON_MASS_MEV",
    "FINE_STRUCTURE",
    "Material",
    "atomic_number",
    "coulomb_correction",
    "resolve",
    "standard_weight",
]

ELECTRON_MASS_MEV = 0.51099895
FINE_STRUCTURE = 7.2973525693e-3

SYMBOLS = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca",
    "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",
    "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce",
    "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir",
    "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu",
)  # fmt: skip

_WEIGHTS = {
    1: 1.008, 2: 4.0026, 3: 6.94, 4: 9.0122, 6: 12.011, 7: 14.007, 8: 15.999, 9: 18.998, 11: 22.990, 12: 24.305, 13: 26.982,
    14: 28.085, 18: 39.948, 20: 40.078, 24: 51.996, 25: 54.938, 26: 55.845, 28: 58.693, 29: 63.546, 30: 65.38, 32: 72.630,
    36: 83.798, 39: 88.906, 50: 118.71, 53: 126.90, 54: 131.29, 55: 132.91, 56: 137.33, 58: 140.12, 71: 174.97, 74: 183.84,
    82: 207.2, 83: 208.98, 92: 238.03,
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    r"""A material, and its constants by the formulas of the Review of Particle Physics, "Passage of particles through matter".

    Args:
        name: as Geant4 calls it, ``G4_Pb``, or a name of your own.
        density: in g/cm3.
        elements: mass fraction by atomic number.
        gas: whether the critical energy is that of a gas.

    >>> lead = resolve("G4_Pb")
    >>> f"{lead.radiation_length_mm:.2f} mm, {lead.critical_energy_mev:.2f} MeV, {lead.minimum_mev_per_mm:.2f} MeV/mm"
    '5.61 mm, 7.33 MeV, 1.29 MeV/mm'
    """

    name: str
    density: float
    elements: Mapping[int, float]
    gas: bool = False

    def _mass_mean(self, values: Iterable[float]) -> float:
        return sum(fraction * value for fraction, value in zip(self.elements.values(), values, strict=True))

    @property
    def atomic_number(self) -> float:
        """Mean by mass."""
        return self._mass_mean(self.elements)

    @property
    def radiation_length_mm(self) -> float:
        r""":math:`1/X_0 = \frac{4 \alpha r_e^2 N_A}{A} [Z^2 (L - f(Z)) + Z L']` (Tsai, Rev. Mod. Phys. 46 (1974) 815), averaged by mass."""
        return 10.0 / (self.density * self._mass_mean(1 / _radiation_length(z) for z in self.elements))

    @property
    def critical_energy_mev(self) -> float:
        r""":math:`E_c = X_0 \sum_i w_i E_{c,i} / X_{0,i}`, with 610 MeV/(Z + 1.24) of solids and liquids, 710 MeV/(Z + 0.92) of gases."""
        top, offset = (710.0, 0.92) if self.gas else (610.0, 1.24)
        losses = self._mass_mean(top / (z + offset) / _radiation_length(z) for z in self.elements)
        return losses / self._mass_mean(1 / _radiation_length(z) for z in self.elements)

    @property
    def minimum_mev_per_mm(self) -> float:
        r"""Loss of a minimum-ionising particle: Bethe's formula at :math:`\beta\gamma = 3` with :math:`I = 16 Z^{0.9}` eV, 2 % accurate."""
        return 0.1 * self.density * self._mass_mean(map(_minimum_loss, self.elements))

    @property
    def pion_length_mm(self) -> float:
        r"""Interaction length of a pion, 44 + 30.8 :math:`A^{1/3}` g/cm2 (3 % from the values of the Review of Particle Physics)."""
        return 10.0 / (
            self.density * self._mass_mean(1 / (44 + 30.8 * standard_weight(z) ** (1 / 3)) for z in self.elements)
        )


def standard_weight(z: int) -> float:
    """Atomic weight in g/mol; of elements that no calorimeter is made of, 2 Z (1 + 0.0075 Z^(2/3)), 2 % accurate."""
    return _WEIGHTS.get(z) or 2 * z * (1 + 0.0075 * z ** (2 / 3))


def atomic_number(symbol: str) -> int:
    """Atomic number of a chemical symbol.

    Raises:
        ConfigError: no such element up to plutonium.

    >>> atomic_number("Pb")
    82
    """
    if symbol not in SYMBOLS:
        message = f"there is no chemical element {symbol!r}: give a symbol such as Pb or Fe"
        raise ConfigError(message)
    return SYMBOLS.index(symbol) + 1


def coulomb_correction(z: int) -> float:
    r"""f(Z) of Davies, Bethe and Maximon: :math:`a^2 [(1 + a^2)^{-1} + 0.20206 - 0.0369 a^2 + 0.0083 a^4 - 0.002 a^6]`, a = alpha Z."""
    a2 = (FINE_STRUCTURE * z) ** 2
    return a2 * (1 / (1 + a2) + 0.20206 - 0.0369 * a2 + 0.0083 * a2**2 - 0.002 * a2**3)


def _radiation_length(z: int) -> float:
    """In g/cm2."""
    inelastic, elastic = {1: (6.144, 5.31), 2: (5.621, 4.79), 3: (5.805, 4.74), 4: (5.924, 4.71)}.get(
        z, (math.log(1194 * z ** (-2 / 3)), math.log(184.15 * z ** (-1 / 3)))
    )
    return 716.408 * standard_weight(z) / (z**2 * (elastic - coulomb_correction(z)) + z * inelastic)


def _minimum_loss(z: int) -> float:
    """In MeV cm2/g."""
    beta2, momentum2, excitation_mev = 0.9, 9.0, 16e-6 * z**0.9
    logarithm = math.log(2 * ELECTRON_MASS_MEV * momentum2 / excitation_mev)
    return 0.307075 * z / standard_weight(z) / beta2 * (logarithm - beta2)


def _common() -> dict[str, Material]:
    elements = (
        ("C", 2.0), ("Al", 2.699), ("Si", 2.33), ("Fe", 7.874), ("Cu", 8.96), ("Ge", 5.323), ("W", 19.3), ("Pb", 11.35), ("U", 18.95),
        ("lAr", 1.396), ("lKr", 2.418), ("lXe", 2.953),
    )  # fmt: skip
    compounds: tuple[tuple[str, float, dict[int, float]], ...] = (
        ("G4_POLYSTYRENE", 1.06, {6: 0.92258, 1: 0.07742}),
        ("G4_PLASTIC_SC_VINYLTOLUENE", 1.032, {6: 0.91471, 1: 0.08529}),
        ("G4_PbWO4", 8.28, {82: 0.45537, 74: 0.40400, 8: 0.14064}),
        ("G4_CESIUM_IODIDE", 4.51, {55: 0.51155, 53: 0.48845}),
        ("G4_BGO", 7.13, {83: 0.67102, 8: 0.15412, 32: 0.17487}),
        ("G4_STAINLESS-STEEL", 8.0, {26: 0.74620, 24: 0.16900, 28: 0.08480}),
        ("G4_BRASS", 8.52, {29: 0.57515, 30: 0.33415, 82: 0.09070}),
        ("G4_WATER", 1.0, {1: 0.11190, 8: 0.88810}),
    )
    gases: tuple[tuple[str, float, dict[int, float]], ...] = (
        ("G4_AIR", 1.20479e-3, {6: 0.00012, 7: 0.75527, 8: 0.23178, 18: 0.01283}),
        ("G4_Galactic", 1e-25, {1: 1.0}),
    )
    materials = [
        Material(f"G4_{name}", density, {atomic_number(name[-2:].lstrip("l")): 1.0}) for name, density in elements
    ]
    materials += [Material(*row) for row in compounds] + [Material(*row, gas=True) for row in gases]
    return {material.name: material for material in materials}


def resolve(name: str, own: Mapping[str, Material] | None = None) -> Material:
    """A material by its name: one of your own, a common one of calorimeters, or any that Geant4 knows (extra ``geant4``).

    Args:
        name: ``G4_`` and the rest of its NIST name, or a key of ``own``.
        own: further materials.

    Raises:
        ConfigError: nobody knows it.

    >>> f"{resolve('G4_lAr').radiation_length_mm:.0f} mm"
    '140 mm'
    """
    known = {**COMMON, **(own or {})}
    if name not in known:
        found = _from_geant4(name)
        if found is None:
            message = (
                f"the material {name!r} is unknown: write its density and elements under materials: in the detector's YAML, or "
                f"choose one of {', '.join(COMMON)} or, with pip install 'hepflows[geant4]', any NIST material of Geant4"
            )
            raise ConfigError(message)
        return found
    return known[name]


def _from_geant4(name: str) -> Material | None:
    try:
        import calzone
    except ImportError:
        return None
    found = calzone.describe(material=name)
    if found is None:
        return None
    elements = {atomic_number(symbol): float(fraction) for symbol, fraction in found.composition}
    return Material(name, float(found.density), elements, found.state == "gas")


COMMON: Mapping[str, Material] = _common()
"""Materials that need no further package, by name."""
