from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepflows.errors import ShapeError
from hepflows.report.images import image_grid
from hepflows.report.style import to_png, to_svg

CELLS = [(160.0, 5.0), (40.0, 80.0)]


@pytest.fixture
def layers() -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [generator.exponential(size=(3, 96)) + 0.01, generator.exponential(size=(12, 6)) + 0.01]


def image_of(axes: Any) -> Any:
    return axes.images[0]


def test_every_row_shows_reference_sample_and_ratio(layers: list[np.ndarray]) -> None:
    other = [1.5 * layers[0], 0.5 * layers[1]]
    figure = image_grid({"Geant4": layers, "flow": other}, cell_mm=CELLS, row_names=["layer 0", "layer 1"])
    grid = np.reshape(figure.axes[:6], (2, 3))
    for row, factor in enumerate((1.5, 0.5)):
        # x to the right, y upwards: the picture is the transposed array with its origin below
        np.testing.assert_allclose(image_of(grid[row, 0]).get_array(), layers[row].T)
        np.testing.assert_allclose(image_of(grid[row, 1]).get_array(), other[row].T)
        np.testing.assert_allclose(image_of(grid[row, 2]).get_array(), factor)
        assert image_of(grid[row, 0]).origin == "lower"
        assert tuple(image_of(grid[row, 0]).get_extent()) == (-240.0, 240.0, -240.0, 240.0)


def test_the_samples_of_a_row_share_their_colours(layers: list[np.ndarray]) -> None:
    figure = image_grid({"Geant4": layers[:1], "flow": [3.0 * layers[0]]}, cell_mm=CELLS[:1])
    first, second = (image_of(axes).norm for axes in figure.axes[:2])
    assert first is second
    assert first.vmin == pytest.approx(layers[0].min())
    assert first.vmax == pytest.approx(3.0 * layers[0].max())


def test_colours_span_five_decades_at_most() -> None:
    image = np.geomspace(1e-12, 1.0, 288).reshape(3, 96)
    norm = image_of(image_grid({"Geant4": [image]}, cell_mm=CELLS[:1]).axes[0]).norm
    assert (norm.vmin, norm.vmax) == pytest.approx((1e-5, 1.0))


def test_ratio_scale_is_symmetric_about_one_and_empty_cells_stay_empty(layers: list[np.ndarray]) -> None:
    reference, other = layers[1].copy(), layers[1].copy()
    reference[0, :], other[1, :] = 0.0, 0.0
    figure = image_grid({"Geant4": [reference], "flow": [other]}, cell_mm=CELLS[1:], ratio_limit=3.0)
    ratio = image_of(figure.axes[2])
    assert (ratio.norm.vmin * ratio.norm.vmax, ratio.norm.vmax) == pytest.approx((1.0, 3.0))
    shown = np.ma.filled(ratio.get_array(), np.nan).T
    assert np.all(np.isnan(shown[0]))  # undefined: no energy in the reference
    assert np.all((shown[1] < 1 / 3) & (shown[1] > 0))  # lost in the sample: the end of the scale
    np.testing.assert_allclose(shown[2:], 1.0)


@pytest.mark.parametrize("reference", [0.0, 1.0])
@pytest.mark.parametrize("sample", [0.0, 1.0, np.nan])
def test_layers_without_energy_or_of_one_value_draw_without_a_warning(reference: float, sample: float) -> None:
    images = {"Geant4": [np.full((12, 6), reference)], "flow": [np.full((12, 6), sample)]}
    figure = image_grid(images, cell_mm=CELLS[1:])
    assert to_png(figure)[:4] == b"\x89PNG"
    assert "data:image/png;base64" in to_svg(figure)


def test_titles_and_several_samples(layers: list[np.ndarray]) -> None:
    figure = image_grid(dict.fromkeys(("Geant4", "teacher", "student"), layers), cell_mm=CELLS)
    titles = [axes.get_title() for axes in figure.axes[:5]]
    assert titles == ["Geant4", "teacher", "student", "teacher / Geant4", "student / Geant4"]


def test_a_single_cell() -> None:
    assert image_grid({"Geant4": [[[2.0]]], "flow": [[[1.0]]]}, cell_mm=[(1.0, 1.0)]).axes


@pytest.mark.parametrize(
    "images",
    [
        {},
        {"Geant4": []},
        {"Geant4": [np.ones((3, 96))]},
        {"Geant4": [np.ones((3, 96)), np.ones((12, 6))], "flow": [np.ones((3, 96)), np.ones((6, 12))]},
        {"Geant4": [np.ones(288), np.ones(72)]},
    ],
)
def test_pictures_that_do_not_match_are_refused(images: dict[str, list[np.ndarray]]) -> None:
    with pytest.raises(ShapeError, match="one picture"):
        image_grid(images, cell_mm=CELLS)


def test_samples_and_ratios_apart_have_the_same_height_and_panels(layers: list[np.ndarray]) -> None:
    images = {"Geant4": layers, "flow": layers}
    samples, ratios = (image_grid(images, cell_mm=CELLS, show=show) for show in ("samples", "ratios"))
    assert [axes.get_title() for axes in samples.axes[:2]] == ["Geant4", "flow"]
    assert ratios.axes[0].get_title() == "flow / Geant4"
    assert samples.get_figheight() == ratios.get_figheight()
    heights = [figure.axes[0].get_window_extent().height for figure in (samples, ratios)]
    assert heights[0] == pytest.approx(heights[1], rel=0.02)
    with pytest.raises(ShapeError, match="second sample"):
        image_grid({"Geant4": layers}, cell_mm=CELLS, show="ratios")
