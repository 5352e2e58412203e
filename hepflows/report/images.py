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
PANEL_INCHES = 2.25
DECADES = 5.0


@style.styled
def image_grid(
    images: Mapping[str, Sequence[ArrayLike]],
    *,
    cell_mm: Sequence[tuple[float, float]],
    row_names: Sequence[str] = (),
    unit: str = "MeV",
    ratio_limit: float = 2.0,
    show: Literal["all", "samples", "ratios"] = "all",
) -> Figure:
    """Draw pictures of cells, one column a sample and one row a layer, with the ratio to the first sample at the right.

    The samples of one row share a logarithmic colour scale of at most five decades. The ratio has a logarithmic
    diverging scale, white where both agree; cells that are empty in the first sample are left grey.

    Args:
        images: pictures by sample name, the reference first; each sample has one array (n_x, n_y) a row.
        cell_mm: size (x, y) of a cell in mm, one a row. The picture is centred on the origin, y points up.
        row_names: titles of the rows.
        unit: unit of the cells.
        ratio_limit: the ratio at the end of its colour scale.
        show: everything, or only the samples or the ratios: two figures of the same height, which a narrow page can put
            one below the other.

    Raises:
        ShapeError: samples differ in the number of rows, or in the shape of one.

    >>> cells = np.ones((3, 96))
    >>> figure = image_grid({"Geant4": [cells], "flow": [1.1 * cells]}, cell_mm=[(160.0, 5.0)])
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['Geant4', 'flow', 'flow / Geant4']
    """
    pictures = {name: [np.asarray(image, dtype=np.float64) for image in layers] for name, layers in images.items()}
    _check(pictures, cell_mm)
    reference, *samples = pictures
    upright = len(pictures) if show != "ratios" else 0
    compared = len(samples) if show != "samples" else 0
    if upright + compared == 0:
        message = "ratios need a second sample: give one, or show='samples'"
        raise ShapeError(message)
    rows, groups = len(cell_mm), bool(upright) + bool(compared)
    width, height = PANEL_INCHES * (upright + compared) + 0.9 + 1.2 * groups, (PANEL_INCHES + 0.12) * rows + 0.75
    figure = style.new_figure(width, height)
    grid = figure.subplots(rows, upright + compared, squeeze=False)
    for row, cell in enumerate(cell_mm):
        shown = [layers[row] for layers in pictures.values()]
        extent = _extent(shown[0].shape, cell)
        if upright:
            _draw_energies(grid[row, :upright], shown, extent, unit)
        if compared:
            _draw_ratios(grid[row, upright:], [_ratio(image, shown[0]) for image in shown[1:]], extent, ratio_limit)
    titles = [*list(pictures)[:upright], *(f"{name} / {reference}" for name in samples[:compared])]
    _label(grid, [style.literal(title, 24) for title in titles], row_names)
    # a colour bar knows its ticks, and so the room that their labels need, only after a first layout
    style.lay_out(figure)
    return figure


def _check(pictures: Mapping[str, Sequence[Array]], cell_mm: Sequence[tuple[float, float]]) -> None:
    shapes = {name: [image.shape for image in layers] for name, layers in pictures.items()}
    first = next(iter(shapes.values()), [])
    right = len(first) == len(cell_mm) > 0 and all(len(shape) == 2 for shape in first)
    if not right or any(shape != first for shape in shapes.values()):
        message = (
            f"every sample needs one picture (n_x, n_y) for each of the {len(cell_mm)} cell sizes, "
            f"equal in shape to the reference's; got {shapes}"
        )
        raise ShapeError(message)


def _extent(shape: tuple[int, ...], cell: tuple[float, float]) -> tuple[float, float, float, float]:
    half_x, half_y = 0.5 * shape[0] * cell[0], 0.5 * shape[1] * cell[1]
    return -half_x, half_x, -half_y, half_y


def _ratio(image: Array, reference: Array) -> Array:
    ratio: Array = np.divide(image, reference, out=np.full(image.shape, np.nan), where=reference > 0)
    return ratio


def _show(axes: Axes, image: Array, extent: tuple[float, float, float, float], norm: Normalize, colours: str) -> Any:
    import matplotlib as mpl

    palette = mpl.colormaps[colours].with_extremes(bad=style.REFERENCE_FILL)
    return axes.imshow(image.T, origin="lower", extent=extent, norm=norm, cmap=palette, interpolation="none")


def _draw_energies(row: NDArray[Any], images: Sequence[Array], extent: tuple[float, ...], unit: str) -> None:
    from matplotlib.colors import LogNorm

    values = np.concatenate([image.ravel() for image in images])
    positive = values[np.isfinite(values) & (values > 0)]
    high = float(positive.max(initial=0.0)) or 1.0
    low = max(float(positive.min(initial=high)), high * 10.0**-DECADES)
    norm = LogNorm(low if low < high else 0.1 * high, high)
    limits = (extent[0], extent[1], extent[2], extent[3])
    for axes, image in zip(row, images, strict=True):
        shown = _show(axes, np.where(image > 0, image, np.nan), limits, norm, style.SEQUENTIAL)
    _colour_bar(row[-1], shown, f"mean energy [{unit}]")


def _draw_ratios(row: NDArray[Any], ratios: Sequence[Array], extent: tuple[float, ...], limit: float) -> None:
    from matplotlib.colors import LogNorm

    limits = (extent[0], extent[1], extent[2], extent[3])
    for axes, ratio in zip(row, ratios, strict=True):
        shown = _show(axes, np.where(ratio == 0, 1e-9, ratio), limits, LogNorm(1.0 / limit, limit), style.DIVERGING)
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
