"""The stack of a detector as one effective medium, as parametrised showers see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.simulate.detector import Detector

__all__ = ["Medium"]

Array = npt.NDArray[Any]

_SCATTERING_MEV = 21.2
_HOMOGENEOUS_RESOLUTION = 0.02  # at 1 GeV; shower fluctuations are not in it


@dataclass(frozen=True)
class Medium:
    r"""Effective constants of a stack (Grindhammer and Peters, hep-ex/0001020).

    With :math:`w_i` the mass fractions, lengths by mass: :math:`1/X_0 = \sum w_i / X_{0,i}`,
    :math:`E_c = X_0 \sum w_i E_{c,i} / X_{0,i}`, :math:`1/R_M = \sum w_i E_{c,i} / (X_{0,i} E_s)`, :math:`E_s` = 21.2 MeV.

    Attributes:
        edges_mm: depths of the faces of the slabs.
        radiation_lengths: X0 from the front to each of them.
        interaction_lengths: those of a pion.
        minimum_mev: what a minimum-ionising particle loses up to each of them.
        read_mev: its losses in what is read out.
        critical_energy_mev: E_c.
        moliere_mm: Moliere radius.
        atomic_number: mean by mass.
        sampling_frequency: F_S, X0 over the length of a period; infinite where all deposits count.
        electron_ratio: visible energy of electrons over that of minimum-ionising particles, both by what is lost.
        resolution: of the sampling, at 1 GeV.

    >>> from hepflows.applications.calorimeter.simulate.detector import load_detector
    >>> medium = Medium.of(load_detector("calogan"))
    >>> [round(float(value), 1) for value in (medium.radiation_lengths[-1], medium.critical_energy_mev, medium.moliere_mm)]
    [30.8, 9.1, 36.2]
    """

    edges_mm: Array
    radiation_lengths: Array
    interaction_lengths: Array
    minimum_mev: Array
    read_mev: Array
    critical_energy_mev: float
    moliere_mm: float
    atomic_number: float
    sampling_frequency: float
    electron_ratio: float
    resolution: float

    @classmethod
    def of(cls, detector: Detector) -> Medium:
        """The medium of a detector."""
        materials = [detector.resolved[slab.material] for slab in detector.slabs]
        mm = np.array([slab.mm for slab in detector.slabs])
        read = np.array([detector.reads(slab.material) for slab in detector.slabs])
        mass, z = mm * [one.density for one in materials], np.array([one.atomic_number for one in materials])
        lengths = mm / [one.radiation_length_mm for one in materials]
        losses = lengths * [one.critical_energy_mev for one in materials]
        minimum = mm * [one.minimum_mev_per_mm for one in materials]
        x0_mm = mm.sum() / lengths.sum()
        share = minimum[read].sum() / minimum.sum()
        ratio, resolution, frequency = 1.0, _HOMOGENEOUS_RESOLUTION, np.inf
        if not read.all():
            passive, active = (float((mass * z)[part].sum() / mass[part].sum()) for part in (~read, read))
            ratio = 1 / (1 + 0.007 * (passive - active))
            frequency = x0_mm / (mm.sum() / detector.repeat)
            resolution = 0.027 * np.sqrt(mm[read].mean() / share)
        return cls(
            edges_mm=detector.edges_mm,
            radiation_lengths=_from_front(lengths),
            interaction_lengths=_from_front(mm / [one.pion_length_mm for one in materials]),
            minimum_mev=_from_front(minimum),
            read_mev=_from_front(minimum * read),
            critical_energy_mev=float(losses.sum() / lengths.sum()),
            moliere_mm=float(_SCATTERING_MEV * mm.sum() / losses.sum()),
            atomic_number=float((mass * z).sum() / mass.sum()),
            sampling_frequency=float(frequency),
            electron_ratio=float(ratio),
            resolution=float(resolution),
        )

    def at(self, quantity: Array, depth_mm: npt.ArrayLike) -> Array:
        """One of the quantities from the front to a depth, between the faces of the slabs in proportion."""
        return np.asarray(np.interp(np.asarray(depth_mm), self.edges_mm, quantity))


def _from_front(values: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(values)])
