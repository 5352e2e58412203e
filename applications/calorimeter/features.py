"""What a classifier sees of a shower."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.calorimeter.challenge import high_level_features, low_level_features
from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.models.conditions import Conditions
from hepflows.applications.calorimeter.observables import observables
from hepflows.applications.calorimeter.shared_conditions import encoded
from hepflows.applications.calorimeter.showers import Showers
from hepflows.errors import ConfigError
from hepflows.metrics.samples import permute_within

Array = NDArray[np.float64]
Which = Literal["voxels", "observables", "both", "calochallenge-low", "calochallenge-normalised", "calochallenge-high"]

_BRIGHTEST = 5
_SMALLEST = 1e-2  # MeV, added before the logarithm of an energy: CaloFlow's threshold
_SHARE = 1e-5  # added before the logarithm of a voxel's share of its layer
_PER_GROUP = 25  # showers of similar energy among which voxels are permuted


def classifier_features(
    showers: Showers, which: Which = "voxels", conditions: Conditions | None = None
) -> NDArray[np.float32]:
    r"""Features of each shower, (n, d) in float32.

    ``voxels``: the input of CaloFlow (arXiv:2106.05285), for CaloGAN's cells d = 508: the voxels :math:`v` in units of
    100 GeV, :math:`\log_{10}(E_{inc} / 10\,\mathrm{GeV})`, and
    :math:`\log_{10}(E_i / 100\,\mathrm{GeV} + 10^{-8}) + 2` for each layer, which is -6 for a layer without energy.

    ``observables``: the logarithm of the incident energy and what :func:`observables` gives, with five voxels a layer;
    energies and widths as logarithms, and 0 for what does not exist in an empty layer.

    ``both``: :math:`\log_{10}(v / E_i + 10^{-5})`, then the observables. Nothing is added that does not follow from
    voxels and incident energy, but few events suffice to learn from it: with 600 training showers a class no network
    finds the sum of 288 voxels by itself.

    ``calochallenge-low``, ``calochallenge-normalised``, ``calochallenge-high``: the inputs of the CaloChallenge (arXiv:2410.21611), see
    `low_level_features` and `high_level_features` of :mod:`hepflows.applications.calorimeter.challenge`.

    Args:
        showers: n showers.
        which: one of these.
        conditions: of the particles besides their energy, which are seen as well; from `shared_conditions`.

    Raises:
        ConfigError: another name.
        DataError: showers without these conditions.

    >>> classifier_features(Showers(np.array([10.0]), np.ones((1, 504)), np.zeros((1, 3)))).shape
    (1, 508)
    """
    if which not in get_args(Which):
        message = f"there are no classifier features {which!r}: choose one of {', '.join(get_args(Which))}"
        raise ConfigError(message)
    if which.startswith("calochallenge"):
        high, normalised = which.endswith("high"), which.endswith("normalised")
        columns = [high_level_features(showers) if high else low_level_features(showers, normalised=normalised)]
    elif which == "voxels":
        columns = [showers.voxels / 1e5, _incident(showers), np.log10(showers.layer_energies / 1e5 + 1e-8) + 2]
    else:
        columns = [_incident(showers), _observed(showers)]
    if which == "both":
        columns = [_log_shares(showers), *columns]
    if conditions is not None:
        columns.append(encoded(showers, conditions))
    return np.concatenate(columns, axis=1).astype(np.float32)


def feature_scale(geometry: Geometry, which: Which, conditions: Conditions | None = None) -> Array | None:
    """Factors for the scaled inputs of a classifier, or None.

    For ``both`` all voxels together weigh as much as one observable, 1 / sqrt(n_voxels) each: several hundred noisy
    inputs would otherwise drown the rest when events are few.
    """
    if which != "both":
        return None
    empty = Showers(np.ones(1), np.zeros((1, geometry.n_voxels)), np.zeros((1, geometry.n_layers)), geometry)
    width = classifier_features(empty, "both").shape[1]
    scale = np.ones(width + (0 if conditions is None else conditions.width))
    scale[: geometry.n_voxels] = geometry.n_voxels**-0.5
    return scale


def permuted_showers(showers: Showers, rng: np.random.Generator) -> Showers:
    """Showers that are wrong on purpose: each voxel is permuted by itself among showers of similar incident energy.

    The distribution of every single voxel given the energy is right, all relations between voxels are lost.
    """
    groups = np.empty(len(showers), dtype=np.int64)
    groups[np.argsort(showers.energies, kind="stable")] = np.arange(len(showers)) // _PER_GROUP
    voxels = permute_within(showers.voxels, groups, rng)
    return replace(showers, voxels=voxels)


def _incident(showers: Showers) -> NDArray[Any]:
    return np.log10(showers.energies / 10.0)[:, None]


def _observed(showers: Showers) -> Array:
    found = observables(showers, brightest=_BRIGHTEST)
    columns = []
    for name, values in found.items():
        if name.startswith("energy_") and not name.startswith(("energy_fraction", "energy_ratio")):
            values = np.log10(values + _SMALLEST)
        elif name.startswith("width"):
            values = np.log10(1.0 + values)
        columns.append(np.where(np.isfinite(values), values, 0.0))
    return np.stack(columns, axis=1)


def _log_shares(showers: Showers) -> NDArray[Any]:
    energies = np.repeat(showers.layer_energies, [layer.n_voxels for layer in showers.geometry.layers], axis=1)
    shares = np.divide(showers.voxels, energies, out=np.zeros(energies.shape), where=energies > 0)
    return np.asarray(np.log10(shares + _SHARE))
