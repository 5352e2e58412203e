"""The pictures of the report: average showers, and the distributions of the observables and of the voxels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hepflows.applications.calorimeter.geometry import Geometry
from hepflows.applications.calorimeter.observables import OBSERVABLES, Observable, observables
from hepflows.applications.calorimeter.report_text import number, short
from hepflows.applications.calorimeter.showers import Showers, weights_of
from hepflows.report import plots
from hepflows.report.html import Picture

Array = NDArray[np.float64]

SHOWN_LAYERS = 6
"""Of a calorimeter with more layers, so many of them are shown, evenly spaced."""

MOST_NAMED = 3
"""With more samples a caption names only the one that differs most."""

HEADINGS = ("Energies", "Sparsity", "Centroids", "Widths", "Voxel energies")
"""What every report shows, in this order; other observables follow where a reader asks for them."""

# family of an observable: heading, name in words
FAMILIES: dict[str, tuple[str, str]] = {
    "e_tot_over_e_inc": ("Energies", "Total / incident energy"),
    "energy_total": ("Energies", "Total energy"),
    "depth": ("Energies", "Depth"),
    "energy": ("Energies", "Energy"),
    "sparsity": ("Sparsity", "Sparsity"),
    "centroid_x": ("Centroids", "Centroid in x"),
    "centroid_y": ("Centroids", "Centroid in y"),
    "centroid_r": ("Centroids", "Mean radius"),
    "width_x": ("Widths", "Width in x"),
    "width_y": ("Widths", "Width in y"),
    "width_r": ("Widths", "Width in r"),
    "voxel_energy": ("Voxel energies", "Voxel energies"),
    "energy_fraction": ("", "Share of the energy"),
    "energy_ratio": ("", "Asymmetry of the two brightest voxels"),
    "brightest_1": ("", "Brightest voxel"),
    "depth_spread": ("", "Spread of the depth"),
}


def _split(name: str) -> tuple[str, int | None]:
    """Family and layer of an observable; the layer is None for the whole shower.

    >>> _split("centroid_x_2"), _split("depth")
    (('centroid_x', 2), ('depth', None))
    """
    family, _, layer = name.rpartition("_")
    return (family, int(layer)) if layer.isdigit() and family else (name, None)


def plain_name(name: str) -> str:
    """An observable in words.

    >>> plain_name("centroid_x_2"), plain_name("e_tot_over_e_inc"), plain_name("my_own")
    ('Centroid in x, layer 2', 'Total / incident energy', 'My own')
    """
    family, layer = _split(name)
    words = FAMILIES.get(family, ("", family.replace("_", " ").capitalize()))[1]
    return words if layer is None else f"{words}, layer {layer}"


def shown_layers(geometry: Geometry) -> list[int]:
    """The layers that the report shows: all, or a few from the first to the last."""
    return [int(i) for i in np.unique(np.linspace(0, geometry.n_layers - 1, SHOWN_LAYERS).round())]


def average_showers(showers: Mapping[str, Showers]) -> list[Picture]:
    """Mean energy of every cell, the samples side by side, and their ratio to the reference."""
    geometry = next(iter(showers.values())).geometry
    layers = shown_layers(geometry)
    images = {
        name: [
            geometry.layers[index].mesh(
                np.average(np.asarray(sample.layer(index), dtype=np.float64), axis=0, weights=weights_of(sample))
            )
            for index in layers
        ]
        for name, sample in showers.items()
    }
    rows = [f"layer {index}" for index in layers]
    averages, ratios = (plots.image_grid(images, row_names=rows, show=show) for show in ("samples", "ratios"))
    energies = (
        "Mean energy of each cell over all showers. The samples of a row share one logarithmic colour scale; grey cells "
        "hold no energy."
    )
    compared = "Ratios are to the reference, white where they agree."
    alts = "average showers by layer", "ratio of average showers to the reference"
    if len(showers) > 2:  # side by side they would be too small
        return [Picture(averages, energies, alt=alts[0]), Picture(ratios, compared, alt=alts[1])]
    return [Picture((averages, ratios), f"{energies} {compared}", alt=", and ".join(alts))]


def distributions(
    showers: Mapping[str, Showers], metrics: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, list[Picture]]:
    """Histograms of all observables by heading, with their separation and its floor in the caption."""
    reference = next(iter(showers))
    layers = shown_layers(showers[reference].geometry)
    values = {name: observables(sample) for name, sample in showers.items()}
    weights = {name: one for name, sample in showers.items() if (one := weights_of(sample)) is not None}
    pictures: dict[str, list[Picture]] = {}
    for name in sorted(values[reference], key=_place):
        family, layer = _split(name)
        if layer is None or layer in layers:
            heading = FAMILIES.get(family, ("", ""))[0]
            of_samples = {sample: values[sample][name] for sample in values}
            cells = showers[reference].geometry.slices[layer] if family == "sparsity" and layer is not None else None
            found = _picture(name, of_samples, metrics or {}, cells=cells, weights=weights)
            pictures.setdefault(heading, []).extend(found)
    for layer in layers:
        pictures.setdefault("Voxel energies", []).extend(_voxels(layer, showers, metrics or {}, weights))
    return pictures


def _place(name: str) -> int:
    """Where an observable stands: in the order of the families, those without one at the end."""
    family = _split(name)[0]
    return list(FAMILIES).index(family) if family in FAMILIES else len(FAMILIES)


def _picture(
    name: str,
    values: Mapping[str, Array],
    metrics: Mapping[str, Mapping[str, Any]],
    remark: str = "",
    cells: slice | None = None,
    **options: Any,
) -> Iterator[Picture]:
    """One histogram, or none where the reference has no value to make bins from; of shares of the ``cells`` where given."""
    known = OBSERVABLES.get(name, Observable(plain_name(name)))
    reference, *samples = values
    truth = values[reference]
    if not np.any(np.isfinite(truth) & ((truth > 0) | (not known.log))):
        return
    edges = known.edges(truth)
    if cells is not None:
        edges = share_edges(edges, cells.stop - cells.start)
    figure = plots.comparison(
        truth,
        {sample: values[sample] for sample in samples},
        bins=edges,
        label=known.label,
        unit=known.unit,
        log_x=known.log,
        reference_name=reference,
        **options,
    )
    title = plain_name(name)
    caption = " ".join(filter(None, [_separation_words(name, metrics), _outside_words(values, edges), remark]))
    yield Picture(figure, caption, title=f"{title}.", alt=f"distribution: {title}")


def share_edges(edges: Array, cells: int) -> Array:
    """Bins for shares k / n of n cells over the range of other bins, each around as many of these values: else some bins hold more of them.

    >>> share_edges(np.linspace(0.5, 1.0, 41), 4) * 4
    array([1.5, 2.5, 3.5, 4.5])
    """
    first, last = max(round(edges[0] * cells), 0), min(round(edges[-1] * cells), cells)
    step = -(-(last - first + 1) // (len(edges) - 1))
    bins = -(-(last - first + 1) // step)
    return np.asarray((first - 0.5 + step * np.arange(bins + 1)) / cells)


def _separation_words(name: str, metrics: Mapping[str, Mapping[str, Any]]) -> str:
    values = {sample: number(one.get("separation") or {}, name) for sample, one in metrics.items()}
    floors = {sample: number(one.get("separation_floor") or {}, name) for sample, one in metrics.items()}
    told = {sample: value for sample, value in values.items() if value is not None}
    if not told:
        return ""
    shared = len({floors[sample] for sample in told}) == 1
    texts = {
        sample: short(value) + ("" if shared or floors[sample] is None else f" (floor {short(floors[sample])})")
        for sample, value in told.items()
    }
    if len(values) > MOST_NAMED:  # all of them stand in the table
        largest = max(told, key=lambda sample: told[sample])
        words = f"up to {texts[largest]}, {largest}" if "(" in texts[largest] else f"up to {texts[largest]} ({largest})"
    else:
        words = ", ".join(text if len(values) == 1 else f"{sample} {text}" for sample, text in texts.items())
    floor = floors[next(iter(told))]
    return f"Separation {words}" + (f", floor {short(floor)}." if shared and floor is not None else ".")


def _outside_words(values: Mapping[str, Array], edges: Array) -> str:
    """Tell of values outside the bins where a sample has clearly more of them than the reference."""
    outside = {}
    for name, one in values.items():
        there = one[~np.isnan(one)]
        outside[name] = float(np.mean((there < edges[0]) | (there > edges[-1]))) if len(there) else 0.0
    reference = next(iter(outside))
    told = {name: share for name, share in outside.items() if name == reference or share >= outside[reference] + 0.01}
    if len(told) == 1:
        return ""
    return f"Outside the bins: {', '.join(f'{name} {100 * share:.1f} %' for name, share in told.items())}."


def _voxels(
    layer: int,
    showers: Mapping[str, Showers],
    metrics: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, Array],
) -> Iterator[Picture]:
    voxels = {name: sample.voxels[:, sample.geometry.slices[layer]] for name, sample in showers.items()}
    hits = {name: one[one > 0] for name, one in voxels.items()}
    empty = ", ".join(f"{name} {100 * (1 - len(hits[name]) / one.size):.1f} %" for name, one in voxels.items())
    remark = f"Empty voxels: {empty}. The bars take voxels as independent."
    of_hits = {
        name: np.broadcast_to(one[:, None], voxels[name].shape)[voxels[name] > 0] for name, one in weights.items()
    }
    words = "fraction of voxels with energy"
    yield from _picture(f"voxel_energy_{layer}", hits, metrics, remark, log_y=True, ylabel=words, weights=of_hits)
