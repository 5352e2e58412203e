"""Parametrised showers: thousands a second, with no further package. For tests and tutorials, and to try a detector."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hepflows.applications.calorimeter.showers import Showers
from hepflows.applications.calorimeter.simulate.booking import Booking
from hepflows.applications.calorimeter.simulate.components import Component, electromagnetic, pion
from hepflows.applications.calorimeter.simulate.detector import Detector
from hepflows.applications.calorimeter.simulate.gun import Primaries
from hepflows.applications.calorimeter.simulate.medium import Medium

__all__ = ["FastEngine"]

Array = npt.NDArray[Any]

_BLOCK = 100  # showers that are worked on at once: their spots fit into the cache
_SLICE_X0 = 1.0
_LEAST_SPOTS, _SPOTS_PER_GEV, _MOST_SPOTS = 200, 60, 2000  # a shower


class FastEngine:
    """Parametrised showers in a detector.

    The longitudinal and the lateral shape of electromagnetic showers and their fluctuations follow Grindhammer and Peters
    (hep-ex/0001020), with constants of the detector's materials; pions are crude (`components.pion`). The energy in each of many slices
    fluctuates as the sampling does, and is shared out among spots, which fall into cells.

    Args:
        detector: slabs and cells.

    >>> from hepflows.applications.calorimeter.simulate import Gun, Spread, load_detector
    >>> gun = Gun(-11, Spread.parse("50", "--energy"))
    >>> showers = FastEngine(load_detector("calogan")).shoot(gun.draw(100, np.random.default_rng(0)), seed=1)
    >>> bool(0.98 < showers.voxels.sum() / 100 / 50e3 < 1.0)
    True
    """

    def __init__(self, detector: Detector) -> None:
        self._detector, self._booking = detector, Booking(detector.geometry)
        self._medium = medium = Medium.of(detector)
        self._edges = _slices(detector, medium)
        self._widths = np.diff(self._edges)
        self._visible = _visible_share(detector, medium, self._edges)
        self._all = bool(detector.read_out == "all")

    def shoot(self, primaries: Primaries, seed: int, n: int | None = None) -> Showers:
        """Showers of the given particles.

        Args:
            primaries: the particles.
            seed: source of all fluctuations.
            n: return the first ``n`` only; they do not depend on it.

        Raises:
            ConfigError: a particle misses the front face.
        """
        self._detector.check_entry(primaries.x, primaries.y)
        rng = np.random.default_rng(seed)
        make = electromagnetic if abs(primaries.pdg) in (11, 22) else pion
        geometry = self._detector.geometry
        voxels = np.zeros((len(primaries), geometry.n_voxels))
        overflow = np.zeros((len(primaries), geometry.n_layers))
        for component in make(primaries, self._edges, self._medium, rng):
            mev = 1e3 * self._fluctuate(component.gev, rng)
            for start in range(0, len(primaries), _BLOCK):
                rows = slice(start, start + _BLOCK)
                cells, rest = self._spread(primaries[rows], mev[rows], component[rows], rng)
                voxels[rows] += cells
                overflow[rows] += rest
        return Showers(primaries.energies, *self._detector.signals(voxels, overflow), geometry)[:n]

    def _fluctuate(self, gev: Array, rng: np.random.Generator) -> Array:
        """Visible energies (n, slices): gamma variates of the variance resolution^2 E, which add up to E where all is read out."""
        seen = gev * self._visible
        quantum = self._medium.resolution**2 * self._visible.mean()
        values = np.asarray(quantum * rng.standard_gamma(seen / quantum))
        if self._all:
            total = values.sum(axis=1, keepdims=True)
            values *= np.divide(seen.sum(axis=1, keepdims=True), total, out=np.zeros_like(total), where=total > 0)
        return values

    def _spread(
        self, primaries: Primaries, mev: Array, component: Component, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Share the energies of the slices out among spots, and book these.

        Faint slices, the tail and far places get more spots than their energy asks for, each with less of it: few spots then reach as many
        cells as a shower does.
        """
        n, slices = mev.shape
        share = np.sqrt(mev)
        most = np.clip(_SPOTS_PER_GEV * primaries.energies, _LEAST_SPOTS, _MOST_SPOTS)[:, None]
        expected = most * np.divide(share, share.sum(axis=1, keepdims=True), out=np.zeros_like(mev), where=share > 0)
        counts = np.where(mev > 0, 1 + rng.poisson(expected), 0)
        flat, across = counts.ravel(), component.across

        def each(values: Array) -> Array:
            return np.repeat(values.ravel().astype(np.float32), flat)

        where = np.repeat(np.arange(n * slices), flat)
        shower = np.repeat(np.arange(n), counts.sum(axis=1))
        piece = where - slices * shower
        far, angle, depth, choice = rng.random((4, len(where)), dtype=np.float32)  # enough digits for places
        core, in_core = each(across.core), choice < 0.5
        scale = np.where(in_core, each(across.core_mm), each(across.tail_mm))
        # far**3 is the share of the component beyond the radius; uniform between its values at the cut and at the axis
        least = np.cbrt(1 / (1 + (np.float32(component.reach_mm) / scale) ** 2))
        far = least + (1 - least) * far
        radius = scale * np.sqrt(1 / far**3 - 1)
        weight = far**2 * (1 - least) * np.where(in_core, core, 1 - core) + 1e-30
        energy = np.repeat(mev.ravel() / np.maximum(np.bincount(where, weight, n * slices), 1e-300), flat) * weight
        depth = self._edges[piece] + depth * self._widths[piece]
        angle *= 2 * np.pi
        x, y, depth = _place(primaries, shower, depth, radius * np.cos(angle), radius * np.sin(angle))
        energy[np.maximum(np.abs(x), np.abs(y)) > self._detector.width_mm / 2] = 0.0  # left the calorimeter
        return self._booking.add(n, shower, depth, x, y, energy)


def _place(
    primaries: Primaries, shower: Array, depth: Array, across: Array, aside: Array
) -> tuple[Array, Array, Array]:
    """Points x, y, depth; ``across`` and ``aside`` are distances from the axis, in its plane with the beam and out of it."""
    x, y = primaries.x[shower], primaries.y[shower]
    if not primaries.theta.any():
        return x + across, y + aside, depth
    theta, phi = primaries.theta[shower], primaries.phi[shower]
    outward = depth * np.tan(theta) + across * np.cos(theta)
    x = x + outward * np.cos(phi) - aside * np.sin(phi)
    y = y + outward * np.sin(phi) + aside * np.cos(phi)
    return x, y, depth - across * np.sin(theta)


def _slices(detector: Detector, medium: Medium) -> Array:
    """Depths that cut the stack at the ends of the layers and into at most one radiation length each."""
    ends = {0.0, detector.depth_mm}
    ends |= {min(edge, detector.depth_mm) for layer in detector.geometry.layers for edge in layer.depth_mm or ()}
    edges = [0.0]
    for begin, end in zip(sorted(ends)[:-1], sorted(ends)[1:], strict=True):
        lengths = float(np.diff(medium.at(medium.radiation_lengths, [begin, end]))[0])
        edges.extend(np.linspace(begin, end, max(1, int(np.ceil(lengths / _SLICE_X0))) + 1)[1:])
    return np.array(edges)


def _visible_share(detector: Detector, medium: Medium, edges: Array) -> Array:
    """Of each slice: what is read out of the energy in its layer, with the ratio of electrons to minimum-ionising particles."""
    if detector.read_out == "all":
        return np.ones(len(edges) - 1)
    ends = np.unique(np.clip([layer.depth_mm for layer in detector.geometry.layers], 0, detector.depth_mm))
    ends = np.unique(np.concatenate([[0.0], ends, [detector.depth_mm]]))
    lost, read = (np.diff(medium.at(quantity, ends)) for quantity in (medium.minimum_mev, medium.read_mev))
    middle = 0.5 * (edges[1:] + edges[:-1])
    return medium.electron_ratio * (read / lost)[np.searchsorted(ends, middle) - 1]
