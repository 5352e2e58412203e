"""What physicists look at in a shower: energies, depth, sparsity, centroids, widths, brightest voxels.

Where a quantity does not exist (the centroid of a layer without energy) it is *not a number*, so that no made-up value
enters a distribution: histograms leave it out, and the empty layers themselves are seen in its energy and sparsity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.applications.calorimeter.geometry import CALOGAN, Layer
from hepflows.applications.calorimeter.showers import Showers, weights_of
from hepflows.metrics.two_sample import quantile_edges

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observable:
    """How an observable is written and binned.

    Args:
        label: for an axis; mathematics between dollar signs.
        unit: of the values, empty where they have none.
        log: whether its axis is logarithmic.
        bins: how many.
        tails: share of the reference left to the bins below and above, on each side.
    """

    label: str
    unit: str = ""
    log: bool = False
    bins: int = 40
    tails: float = 2e-3

    def edges(self, reference: ArrayLike) -> Array:
        """Edges of the bins over the values of a reference: equal ones, in the logarithm where the axis is."""
        return quantile_edges(reference, self.bins, log=self.log, tails=self.tails)


_WHOLE = {
    "energy_total": Observable(r"$E_\mathrm{tot}$", "MeV"),
    # most showers keep 99 % of their energy in the cells: a wide tail on one side would leave the peak one bin
    "e_tot_over_e_inc": Observable(r"$E_\mathrm{tot} / E_\mathrm{inc}$", tails=1e-2),
    "depth": Observable("depth $s_d$ (mean layer)"),
    "depth_spread": Observable(r"spread of the depth $\sigma_{s_d}$"),
}
_EACH_LAYER = {  # # stands for the number of the layer
    "energy": Observable("$E_#$", "MeV", log=True),
    "energy_fraction": Observable(r"$E_# / E_\mathrm{tot}$"),
    "sparsity": Observable("sparsity of layer #"),
    "centroid_x": Observable(r"centroid $\langle x \rangle$ in layer #", "mm"),
    "centroid_y": Observable(r"centroid $\langle y \rangle$ in layer #", "mm"),
    "centroid_r": Observable(r"radius $\langle r \rangle$ in layer #", "mm"),
    "width_x": Observable(r"width $\sigma_x$ in layer #", "mm"),
    "width_y": Observable(r"width $\sigma_y$ in layer #", "mm"),
    "width_r": Observable(r"width $\sigma_r$ in layer #", "mm"),
    "energy_ratio": Observable(r"$(v_1 - v_2) / (v_1 + v_2)$ in layer #"),
    "voxel_energy": Observable("voxel energy in layer #", "MeV", log=True, tails=1e-4),
}


class _Table(Mapping[str, Observable]):
    """All observables by name; the iteration names those of CaloGAN's three layers, any other layer is known too."""

    def __getitem__(self, name: str) -> Observable:
        if name in _WHOLE:
            return _WHOLE[name]
        family, _, layer = name.rpartition("_")
        if not layer.isdigit():
            raise KeyError(name)
        if family in _EACH_LAYER:
            known = _EACH_LAYER[family]
        elif family.startswith("brightest_") and family.removeprefix("brightest_").isdigit():
            rank = int(family.removeprefix("brightest_"))
            known = Observable("brightest voxel / $E_#$" if rank == 1 else f"voxel {rank} by energy / $E_#$")
        else:
            raise KeyError(name)
        return replace(known, label=known.label.replace("_#", f"_{{{int(layer)}}}").replace("#", str(int(layer))))

    def __iter__(self) -> Iterator[str]:
        yield from _WHOLE
        for layer in range(CALOGAN.n_layers):
            yield from (f"{family}_{layer}" for family in (*_EACH_LAYER, "brightest_1") if not family.endswith("_r"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


OBSERVABLES: Mapping[str, Observable] = _Table()
"""Label, unit and binning of every observable, by the names that :func:`observables` gives."""


def observables(showers: Showers, *, brightest: int = 1, threshold_mev: float = 0.0) -> dict[str, Array]:
    r"""Observables of each shower (arXiv:1712.10321, arXiv:2106.05285), for any number of layers i.

    ======================== ======== ============================================================================
    name                     unit     formula, with voxels :math:`v`, layer energies :math:`E_i = \sum v`
    ======================== ======== ============================================================================
    energy_total             MeV      :math:`E_{tot} = \sum_i E_i`
    e_tot_over_e_inc                  :math:`E_{tot} / E_{inc}`
    depth                             :math:`s_d = \sum_i i E_i / E_{tot}`
    depth_spread                      :math:`\sigma_{s_d} = \sqrt{\sum_i i^2 E_i / E_{tot} - s_d^2}`
    energy_i                 MeV      :math:`E_i`
    energy_fraction_i                 :math:`E_i / E_{tot}`
    sparsity_i                        share of the voxels of the layer without energy
    centroid_x_i             mm       :math:`\langle x \rangle = \sum v x / E_i`, and y; r too where the cells are rings
    width_x_i                mm       :math:`\sqrt{\langle x^2 \rangle - \langle x \rangle^2}`, and y, r
    energy_ratio_i                    (brightest - second) / (brightest + second) voxel
    brightest_k_i                     energy of the k-th brightest voxel / :math:`E_i`, k = 1, 2, ...
    ======================== ======== ============================================================================

    CaloGAN calls x phi and y eta, the CaloChallenge x eta and y phi. The overflow takes no part. A ratio whose denominator
    is zero is not a number.

    Args:
        showers: n showers.
        brightest: how many of the brightest voxels of each layer (all, where a layer has fewer).
        threshold_mev: voxels below it are taken as empty, in all observables.

    Returns:
        Name to (n,) values in float64.

    >>> one = Showers(np.array([1.0]), np.ones((1, 504)), np.zeros((1, 3)))
    >>> found = observables(one)
    >>> float(found["e_tot_over_e_inc"][0]), float(found["centroid_x_1"][0]), float(found["sparsity_2"][0])
    (0.504, 0.0, 0.0)
    """
    voxels = np.asarray(showers.voxels, dtype=np.float64)
    voxels = np.where(voxels >= threshold_mev, voxels, 0.0) if threshold_mev > 0 else voxels
    parts = [voxels[:, where] for where in showers.geometry.slices]
    energies = np.stack([part.sum(axis=1) for part in parts], axis=1)
    found = _whole(showers.energies, energies)
    for index, (layer, part) in enumerate(zip(showers.geometry.layers, parts, strict=True)):
        found[f"energy_{index}"] = energies[:, index]
        found[f"energy_fraction_{index}"] = ratio(energies[:, index], energies.sum(axis=1))
        found[f"sparsity_{index}"] = np.mean(part <= 0, axis=1)
        found.update({f"{name}_{index}": values for name, values in _shape(layer, part).items()})
        found.update({f"{name}_{index}": values for name, values in _peaks(part, brightest).items()})
    return found


def ratio(numerator: Array, denominator: Array) -> Array:
    """Quotient, not a number where the denominator is zero."""
    missing = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    return np.asarray(np.divide(numerator, denominator, out=missing, where=denominator > 0))


def _whole(incident: Array, energies: Array) -> dict[str, Array]:
    total, place = energies.sum(axis=1), np.arange(energies.shape[1])
    depth = ratio(energies @ place, total)
    return {
        "energy_total": total,
        "e_tot_over_e_inc": ratio(total, 1e3 * incident),  # GeV to MeV
        "depth": depth,
        "depth_spread": np.sqrt(np.maximum(ratio(energies @ place**2, total) - depth**2, 0.0)),
    }


def _shape(layer: Layer, voxels: Array) -> dict[str, Array]:
    """Centroid and width along every coordinate of the cells."""
    found = {}
    energy = voxels.sum(axis=1)
    for name, centres in layer.coordinates.items():
        mean = ratio(voxels @ centres, energy)
        offset = np.where(np.isfinite(mean), mean, 0.0)
        # second moment about the centroid: the difference of two squares would lose narrow widths to round-off
        places, cells = np.unique(centres, return_inverse=True)
        profile = _summed(voxels, cells, len(places))
        spread = np.sum(profile * (places - offset[:, None]) ** 2, axis=1)
        found[f"centroid_{name}"] = mean
        found[f"width_{name}"] = np.sqrt(ratio(spread, energy))
    return found


def _summed(voxels: Array, groups: NDArray[np.intp], n_groups: int) -> Array:
    """Sums over the voxels of each group, (n, n_groups): the cells that share a coordinate."""
    if n_groups == voxels.shape[1]:
        return voxels[:, np.argsort(groups)]
    order = np.argsort(groups, kind="stable")
    return np.add.reduceat(voxels[:, order], np.searchsorted(groups[order], np.arange(n_groups)), axis=1)


def _peaks(voxels: Array, brightest: int) -> dict[str, Array]:
    wanted = min(max(brightest, 2), voxels.shape[1])
    peaks = -np.sort(np.partition(-voxels, wanted - 1, axis=1)[:, :wanted], axis=1)
    second = peaks[:, 1] if wanted > 1 else np.zeros(len(peaks))
    found = {"energy_ratio": ratio(peaks[:, 0] - second, peaks[:, 0] + second)}
    energy = voxels.sum(axis=1)
    for k in range(min(brightest, wanted)):
        found[f"brightest_{k + 1}"] = ratio(peaks[:, k], energy)
    return found


def voxel_counts(showers: Showers, layer: int, edges: ArrayLike) -> Array:
    """The spectrum of the voxel energies of each shower in one layer.

    Empty voxels are not counted: the sparsity shows them.

    Args:
        showers: n showers.
        layer: number of the layer.
        edges: (B + 1,) in MeV, increasing.

    Returns:
        (n, B + 2) voxels of each shower in each bin, with one bin below and one above.

    >>> one = Showers(np.array([1.0]), np.ones((1, 504)), np.zeros((1, 3)))
    >>> voxel_counts(one, 2, [0.5, 2.0, 4.0])
    array([[ 0., 72.,  0.,  0.]])
    """
    borders = np.asarray(edges, dtype=np.float64)
    voxels = showers.voxels[:, showers.geometry.slices[layer]]
    width = len(borders) + 1
    rows, columns = np.nonzero(voxels > 0)
    places = np.searchsorted(borders, voxels[rows, columns], side="right")
    counts = np.bincount(rows * width + places, minlength=len(voxels) * width)
    return counts.reshape(len(voxels), width).astype(np.float64)


def weighted_counts(showers: Showers, edges: ArrayLike, layers: range | None = None) -> Array:
    """Voxels of each shower in each bin of energy, with one bin below and one above, times the weight of the shower."""
    counts = sum(voxel_counts(showers, layer, edges) for layer in layers or range(showers.geometry.n_layers))
    weights = weights_of(showers)
    return np.asarray(counts if weights is None else counts * weights[:, None])
