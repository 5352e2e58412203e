"""The features and histograms of the CaloChallenge's evaluation (arXiv:2410.21611), for any calorimeter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.calorimeter.geometry import GEOMETRIES, Geometry
from hepflows.applications.calorimeter.observables import observables, weighted_counts
from hepflows.applications.calorimeter.showers import Showers, weights_of
from hepflows.metrics.separations import Separations
from hepflows.training.seeding import numpy_generator

Array = NDArray[np.float64]

_READOUT_MEV = 0.5e-3 / 0.033  # 0.5 keV in silicon over the sampling fraction
_THRESHOLDS = {
    "calochallenge-1-photons": 1.0,
    "calochallenge-1-pions": 1.0,
    "calochallenge-2": _READOUT_MEV,
    "calochallenge-3": _READOUT_MEV,
}
_HADRONIC = {"calochallenge-1-photons": (4,), "calochallenge-1-pions": (4, 5)}  # layers 12 and 13 of ATLAS
_FAMILIES = ("energy", "sparsity", "centroid_x", "centroid_y", "centroid_r", "width_x", "width_y", "width_r")
_EMPTY_MEV = 0.1  # what a voxel without energy counts as under the logarithm
_SMALLEST_MEV = 1e-8

# half ranges of the histograms in mm: of dataset 1, of its layers 12 and 13, of datasets 2 and 3
_RANGES: dict[str, tuple[float, float, float]] = {
    "centroid_x": (100.0, 500.0, 30.0),
    "centroid_y": (100.0, 500.0, 30.0),
    "width_x": (100.0, 400.0, 30.0),
    "width_y": (100.0, 400.0, 30.0),
    "centroid_r": (500.0, 1500.0, 42.0),
    "width_r": (500.0, 1500.0, 20.0),
}


def challenge_dataset(geometry: Geometry) -> str | None:
    """The dataset of the CaloChallenge that has these cells, by its name in `GEOMETRIES`, or None.

    >>> challenge_dataset(GEOMETRIES["calochallenge-2"]), challenge_dataset(GEOMETRIES["calogan"])
    ('calochallenge-2', None)
    """
    return next((name for name in _THRESHOLDS if GEOMETRIES[name] == geometry), None)


def threshold_mev(geometry: Geometry) -> float:
    """Voxels below it count as empty: 1 MeV in dataset 1, 15.15 keV in 2 and 3, and 0 in any other calorimeter."""
    return _THRESHOLDS.get(challenge_dataset(geometry) or "", 0.0)


def high_level(showers: Showers) -> dict[str, Array]:
    r"""High-level observables of each shower, by the names of :func:`observables`.

    After the threshold: :math:`E_\mathrm{tot}`, and for each layer its energy, its sparsity (the share of voxels without
    energy), and, with the voxel energies as weights, the centre of energy and the width

    .. math:: EC_x = \frac{\sum v x}{\sum v}, \qquad \sigma_x = \sqrt{\frac{\sum v x^2}{\sum v} - EC_x^2}

    in mm along every coordinate x of the layer's cells. In the challenge x is called eta, y phi, and r stands beside them; layers of
    undivided rings have r alone, layers of a grid (CaloGAN, say) have x and y. In an empty layer both are 0, as in the original.

    Args:
        showers: n showers.

    Returns:
        (n,) values each.

    >>> one = Showers(np.array([1.0]), np.ones((1, 504)))
    >>> len(high_level(one)), float(high_level(one)["width_x_0"][0])  # three cells of 160 mm
    (19, 130.63945294843617)
    """
    found = observables(showers, threshold_mev=threshold_mev(showers.geometry))
    for index, layer in enumerate(showers.geometry.layers):
        # rounded as in the original, 1 - mean(v > 0): k / 20 is an edge of its histogram, and 0.3 is not 1 - 0.7
        filled = np.rint((1.0 - found[f"sparsity_{index}"]) * layer.n_voxels)
        found[f"sparsity_{index}"] = 1.0 - filled / layer.n_voxels
    return {
        name: np.nan_to_num(values)
        for name, values in found.items()
        if name == "energy_total" or name.rpartition("_")[0] in _FAMILIES
    }


def high_level_features(showers: Showers) -> Array:
    r"""What the high-level classifier, FPD and KPD of the challenge see, (n, d).

    :math:`\log_{10}` of the incident energy, of every layer's energy and of their sum, in MeV with :math:`10^{-8}` added to the
    deposits; centres of energy and widths in units of 100 mm; sparsities. See :func:`high_level`.

    >>> high_level_features(Showers(np.array([1.0]), np.ones((1, 504)))).shape
    (1, 20)
    """
    columns = [np.log10(1e3 * showers.energies)]
    for name, values in high_level(showers).items():
        if name.startswith("energy"):
            values = np.log10(values + _SMALLEST_MEV)
        elif not name.startswith("sparsity"):
            values = values / 100.0
        columns.append(values)
    return np.stack(columns, axis=1)


def low_level_features(showers: Showers, *, normalised: bool = False) -> Array:
    r"""What the low-level classifier of the challenge sees.

    :math:`\log_{10}(E_{inc} / \mathrm{MeV})` and the voxels over the incident energy, d = 1 + voxels. (Some versions of the original
    multiply the voxels by 100, which changes the AUC of a network that does not scale its inputs: ask which one stands behind
    a published number.) ``normalised``: voxels over the energy of their layer, and
    :math:`\log_{10}(E_i / \mathrm{MeV} + 10^{-8})` of every layer.

    Args:
        showers: n showers.
        normalised: whether layers are divided by their energies.

    >>> low_level_features(Showers(np.array([1.0]), np.ones((1, 504)))).shape
    (1, 505)
    """
    voxels, incident = _above(showers), 1e3 * showers.energies[:, None]
    if not normalised:
        return np.concatenate([np.log10(incident), voxels / incident], axis=1)
    layers = [voxels[:, where] for where in showers.geometry.slices]
    energies = [one.sum(axis=1, keepdims=True) for one in layers]
    shares = [one / (energy + 1e-16) for one, energy in zip(layers, energies, strict=True)]
    return np.concatenate([np.log10(incident), *shares, *(np.log10(one + _SMALLEST_MEV) for one in energies)], axis=1)


def log_voxels(showers: Showers) -> Array:
    r""":math:`\log_{10}(v / \mathrm{MeV})` of every voxel, 0.1 MeV in the place of none, (n, n_voxels): for precision and recall.

    >>> float(log_voxels(Showers(np.array([1.0]), np.zeros((1, 504))))[0, 0])
    -1.0
    """
    voxels = _above(showers)
    return np.asarray(np.log10(np.where(voxels > 0, voxels, _EMPTY_MEV)))


def _above(showers: Showers) -> Array:
    voxels = np.asarray(showers.voxels, dtype=np.float64)
    cut = threshold_mev(showers.geometry)
    return np.where(voxels >= cut, voxels, 0.0) if cut > 0 else voxels


def challenge_separations(generated: Showers, reference: Showers, *, seed: int = 0) -> Separations:
    """Separation powers in the challenge's own bins, which are known for its datasets only: empty for other cells.

    Values outside the bins are left out, as in the original: two samples of which one has its showers elsewhere can agree there.
    Names and formulas are those of :func:`high_level`; ``e_tot_over_e_inc`` and, in dataset 1, the same at every energy
    (``e_tot_over_e_inc_at_256_MeV``); ``voxel_energy`` of all layers together. Sample weights are used where there are any.

    Args:
        generated: showers to be judged.
        reference: true showers; the upper edges of energies are their maxima.
        seed: of the permutations behind the floor of the voxel energies.
    """
    dataset = challenge_dataset(reference.geometry)
    rng = numpy_generator(seed, "mean challenge separation")
    if dataset is None:
        return Separations(0, 0, rng=rng)
    found = Separations(len(generated), len(reference), rng=rng)
    weights = weights_of(generated), weights_of(reference)
    pair = high_level(generated), high_level(reference)
    cut = threshold_mev(reference.geometry)
    for name, truth in pair[1].items():
        edges = _edges(name, truth, dataset, cut)
        if edges is not None:
            found.add(name, *_inside(pair[0][name], truth, edges), edges=edges, weights=weights)
    response, true_response = (
        one["energy_total"] / (1e3 * sample.energies) for one, sample in zip(pair, (generated, reference), strict=True)
    )
    edges = np.linspace(0.5, 1.5, 101)
    found.add("e_tot_over_e_inc", *_inside(response, true_response, edges), edges=edges, weights=weights)
    for name, edges, low, high in _energies(dataset):
        rows, true_rows = ((one.energies * 1e3 >= low) & (one.energies * 1e3 < high) for one in (generated, reference))
        if rows.any() and true_rows.any():
            values = np.where(rows, response, np.nan), np.where(true_rows, true_response, np.nan)
            found.add(name, *_inside(*values, edges), edges=edges, weights=weights)
    if reference.voxels.max(initial=0.0) > cut:
        edges = np.geomspace(cut, reference.voxels.max(), 50)
        edges[-1] = np.nextafter(edges[-1], np.inf)  # the largest voxel belongs to the last bin
        counts = [weighted_counts(sample, edges)[:, 1:-1] for sample in (generated, reference)]
        if all(one.sum() > 0 for one in counts):
            found.add_counts("voxel_energy", *counts, rng=numpy_generator(seed, "challenge voxels"))
    return found


def _edges(name: str, truth: Array, dataset: str, cut: float) -> Array | None:
    family, _, layer = name.rpartition("_")
    if family == "energy" and layer.isdigit():
        return np.geomspace(cut, truth.max(), 40) if truth.max(initial=0.0) > cut else None
    if family == "sparsity":
        return np.linspace(0.0, 1.0, 21)
    if family not in _RANGES:
        return None
    narrow, wide, small = _RANGES[family]
    high = small if dataset in ("calochallenge-2", "calochallenge-3") else narrow
    high = wide if int(layer) in _HADRONIC.get(dataset, ()) else high
    return np.linspace(-high if family in ("centroid_x", "centroid_y") else 0.0, high, 101)


def _energies(dataset: str) -> Iterator[tuple[str, Array, float, float]]:
    """Name, edges and range of incident energies in MeV of the response at each energy of dataset 1."""
    if not dataset.startswith("calochallenge-1"):
        return
    for step in range(15):
        narrow = dataset.endswith("photons") and step > 3
        edges = np.linspace(0.9, 1.1, 21) if narrow else np.linspace(0.4, 1.4, 21)
        energy = 2.0 ** (8 + step)
        # half a per mille below, since GeV and MeV differ in the last place
        yield f"e_tot_over_e_inc_at_{energy:.0f}_MeV", edges, 0.9995 * energy, 1.999 * energy


def _inside(first: Array, second: Array, edges: Array) -> Iterator[Array]:
    """Both samples, not a number in the place of what lies outside the bins."""
    return (np.where((one >= edges[0]) & (one <= edges[-1]), one, np.nan) for one in (first, second))
