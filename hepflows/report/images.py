"""Two-dimensional pictures side by side: average showers of the reference, of the samples, and their ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hepflows.errors import ShapeError
from hepflows.report import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Mesh = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Corners x and y, (n + 1, m + 1) each in mm, and values, (n, m): cells of any shape, as ``pcolormesh`` draws them."""

PANEL_INCHES = 2.25
DECADES = 5.0


@style.styled
def image_grid(
    images: Mapping[str, Sequence[Mesh]],
    *,
    row_names: Sequence[str] = (),
    unit: str = "MeV",
    ratio_limit: float = 2.0,
    show: Literal["all", "samples", "ratios"] = "all",
) -> Figure:
    """Draw pictures of cells, one column a sample and one row a layer, with the ratio to the first sample at the right.

    The samples of one row share a logarithmic colour scale of at most five decades. The ratio has a logarithmic
    diverging scale, white where both agree; cells that are empty in the first sample are left grey.

    Args:
        images: pictures by sample name, the reference first; each sample has one `Mesh` a row, and its corners are those of
            the reference. y points up.
        row_names: titles of the rows.
        unit: unit of the cells.
        ratio_limit: the ratio at the end of its colour scale.
        show: everything, or only the samples or the ratios: two figures of the same height, which a narrow page can put
            one below the other.

    Raises:
        ShapeError: samples differ in the number of rows, or in the shape of one.

    >>> x, y = np.meshgrid(np.linspace(-240, 240, 4), np.linspace(-240, 240, 97), indexing="ij")
    >>> figure = image_grid({"Geant4": [(x, y, np.ones((3, 96)))], "flow": [(x, y, np.full((3, 96), 1.1))]})
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['Geant4', 'flow', 'flow / Geant4']
    """
    pictures = {
        name: [tuple(np.asarray(part, dtype=np.float64) for part in mesh) for mesh in meshes]
        for name, meshes in images.items()
    }
    _check(pictures)
    reference, *samples = pictures
    upright = len(pictures) if show != "ratios" else 0
    compared = len(samples) if show != "samples" else 0
    if upright + compared == 0:
        message = "ratios need a second sample: give one, or show='samples'"
        raise ShapeError(message)
    rows, groups = len(pictures[reference]), bool(upright) + bool(compared)
    width, height = PANEL_INCHES * (upright + compared) + 0.9 + 1.2 * groups, (PANEL_INCHES + 0.12) * rows + 0.75
    figure = style.new_figure(width, height)
    grid = figure.subplots(rows, upright + compared, squeeze=False)
    for row, (x, y, _) in enumerate(pictures[reference]):
        shown = [meshes[row][2] for meshes in pictures.values()]
        if upright:
            _draw_energies(grid[row, :upright], (x, y), shown, unit)
        if compared:
            _draw_ratios(grid[row, upright:], (x, y), [_ratio(image, shown[0]) for image in shown[1:]], ratio_limit)
    titles = [*list(pictures)[:upright], *(f"{name} / {reference}" for name in samples[:compared])]
    _label(grid, [style.literal(title, 24) for title in titles], row_names)
    # a colour bar knows its ticks, and so the room that their labels need, only after a first layout
    style.lay_out(figure)
    return figure


def _check(pictures: Mapping[str, Sequence[tuple[Array, ...]]]) -> None:
    shapes = {name: [tuple(part.shape for part in mesh) for mesh in meshes] for name, meshes in pictures.items()}
    first = next(iter(shapes.values()), [])
    right = len(first) > 0 and all(len(mesh) == 3 and len(mesh[2]) == 2 for mesh in first)
    right = right and all(x == y == (n + 1, m + 1) for x, y, (n, m) in first)
    if not right or any(shape != first for shape in shapes.values()):
        message = (
            "every sample needs for each row the corners x and y, (n + 1, m + 1), and the values (n, m) of a picture, "
            f"equal in shape to the reference's; got {shapes}"
        )
        raise ShapeError(message)


def _ratio(image: Array, reference: Array) -> Array:
    ratio: Array = np.divide(image, reference, out=np.full(image.shape, np.nan), where=reference > 0)
    return ratio


def _show(axes: Axes, corners: tuple[Array, Array], image: Array, norm: Normalize, colours: str) -> Any:
    import matplotlib as mpl

    palette = mpl.colormaps[colours].with_extremes(bad=style.REFERENCE_FILL)
    axes.set_aspect("equal")
    # as pixels, since the edges of thousands of cells make a heavy file, with hairlines between them
    return axes.pcolormesh(*corners, np.ma.masked_invalid(image), norm=norm, cmap=palette, rasterized=True)


def _draw_energies(row: NDArray[Any], corners: tuple[Array, Array], images: Sequence[Array], unit: str) -> None:
    from matplotlib.colors import LogNorm

    values = np.concatenate([image.ravel() for image in images])
    positive = values[np.isfinite(values) & (values > 0)]
    high = float(positive.max(initial=0.0)) or 1.0
    low = max(float(positive.min(initial=high)), high * 10.0**-DECADES)
    norm = LogNorm(low if low < high else 0.1 * high, high)
    for axes, image in zip(row, images, strict=True):
        shown = _show(axes, corners, np.where(image > 0, image, np.nan), norm, style.SEQUENTIAL)
    _colour_bar(row[-1], shown, f"mean energy [{unit}]")


def _draw_ratios(row: NDArray[Any], corners: tuple[Array, Array], ratios: Sequence[Array], limit: float) -> None:
    from matplotlib.colors import LogNorm

    for axes, ratio in zip(row, ratios, strict=True):
        shown = _show(axes, corners, np.where(ratio == 0, 1e-9, ratio), LogNorm(1.0 / limit, limit), style.DIVERGING)
    bar = _colour_bar(row[-1], shown, "ratio", extend="both")
    ticks = [1.0 / limit, limit**-0.5, 1.0, limit**0.5, limit]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.ax.minorticks_off()


def _colour_bar(axes: Axes, shown: Any, label: str, extend: str = "neither") -> Any:
    """Put a colour bar at the right of the axes, exactly as high as the picture."""
    bar = axes.figure.colorbar(shown, cax=axes.inset_axes((1.05, 0.0, 0.055, 1.0)), extend=extend)
    bar.set_label(label, fontsize=10.5, labelpad=2.0)
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(which="both", direction="out", left=False)
    return bar


def _label(grid: Any, titles: Sequence[str], row_names: Sequence[str]) -> None:
    for axes in grid.ravel():
        axes.tick_params(which="both", direction="out", top=False, right=False)
        axes.set(xlabel="x [mm]", ylabel="y [mm]")
        axes.label_outer()
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, pad=5.0)
    for axes, name in zip(grid[:, 0], row_names, strict=False):
        axes.set_ylabel(f"{style.literal(name)}\ny [mm]")
