from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepflows.applications.calorimeter import PolarLayer
from hepflows.errors import ShapeError
from hepflows.report.images import Mesh, image_grid
from hepflows.report.style import to_png, to_svg

SIZE_MM = 480.0


def meshed(*pictures: np.ndarray) -> list[Mesh]:
    """Pictures as cells of one square window."""
    edges = [[np.linspace(-SIZE_MM / 2, SIZE_MM / 2, n + 1) for n in picture.shape] for picture in pictures]
    corners = [np.meshgrid(*one, indexing="ij") for one in edges]
    return [(x, y, picture) for (x, y), picture in zip(corners, pictures, strict=True)]


@pytest.fixture
def layers() -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    return [generator.exponential(size=(3, 96)) + 0.01, generator.exponential(size=(12, 6)) + 0.01]


def image_of(axes: Any) -> Any:
    return axes.collections[0]


def test_every_row_shows_reference_sample_and_ratio(layers: list[np.ndarray]) -> None:
    other = [1.5 * layers[0], 0.5 * layers[1]]
    figure = image_grid({"Geant4": meshed(*layers), "flow": meshed(*other)}, row_names=["layer 0", "layer 1"])
    grid = np.reshape(figure.axes[:6], (2, 3))
    for row, factor in enumerate((1.5, 0.5)):
        np.testing.assert_allclose(image_of(grid[row, 0]).get_array(), layers[row])
        np.testing.assert_allclose(image_of(grid[row, 1]).get_array(), other[row])
        np.testing.assert_allclose(image_of(grid[row, 2]).get_array(), factor)
        assert grid[row, 0].get_xlim() == grid[row, 0].get_ylim() == (-240.0, 240.0)
        assert grid[row, 0].get_aspect() == 1.0


def test_the_first_axis_runs_to_the_right_and_the_second_upwards() -> None:
    """The pixel of the one bright cell, read from the finished picture."""
    picture = np.full((4, 4), 0.1)
    picture[3, 0] = 1.0
    figure = image_grid({"Geant4": meshed(picture)})
    figure.canvas.draw()
    axes = figure.axes[0]
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(float)

    def colour(x: float, y: float) -> np.ndarray:
        column, row = axes.transData.transform((x, y)).round().astype(int)
        return pixels[len(pixels) - 1 - row, column]

    bright, others = colour(180.0, -180.0), [colour(-180.0, 180.0), colour(-180.0, -180.0), colour(180.0, 180.0)]
    assert all(np.abs(bright - other).sum() > 100 for other in others)
    np.testing.assert_allclose(others[0], others[1])


def test_rings_are_drawn_as_rings() -> None:
    layer = PolarLayer((0.0, 10.0, 30.0), 4)
    picture = np.arange(1.0, 9.0).reshape(4, 2)
    shown = image_of(image_grid({"Geant4": [layer.mesh(picture)]}).axes[0])
    corners = shown.get_coordinates()
    np.testing.assert_allclose(np.hypot(*corners[:, 1].T), 10.0)
    values = np.asarray(shown.get_array())
    assert values.shape == (64, 2)
    middle = corners[:-1, :-1] + np.diff(corners, axis=0)[:, :-1] / 2 + np.diff(corners, axis=1)[:-1] / 2
    cells = layer.locate(middle[..., 0], middle[..., 1])
    np.testing.assert_array_equal(values, picture.ravel()[cells])


def test_the_samples_of_a_row_share_their_colours(layers: list[np.ndarray]) -> None:
    figure = image_grid({"Geant4": meshed(layers[0]), "flow": meshed(3.0 * layers[0])})
    first, second = (image_of(axes).norm for axes in figure.axes[:2])
    assert first is second
    assert first.vmin == pytest.approx(layers[0].min())
    assert first.vmax == pytest.approx(3.0 * layers[0].max())


def test_colours_span_five_decades_at_most() -> None:
    image = np.geomspace(1e-12, 1.0, 288).reshape(3, 96)
    norm = image_of(image_grid({"Geant4": meshed(image)}).axes[0]).norm
    assert (norm.vmin, norm.vmax) == pytest.approx((1e-5, 1.0))


def test_ratio_scale_is_symmetric_about_one_and_empty_cells_stay_empty(layers: list[np.ndarray]) -> None:
    reference, other = layers[1].copy(), layers[1].copy()
    reference[0, :], other[1, :] = 0.0, 0.0
    figure = image_grid({"Geant4": meshed(reference), "flow": meshed(other)}, ratio_limit=3.0)
    ratio = image_of(figure.axes[2])
    assert (ratio.norm.vmin * ratio.norm.vmax, ratio.norm.vmax) == pytest.approx((1.0, 3.0))
    shown = np.ma.filled(ratio.get_array(), np.nan)
    assert np.all(np.isnan(shown[0]))  # undefined: no energy in the reference
    assert np.all((shown[1] < 1 / 3) & (shown[1] > 0))  # lost in the sample: the end of the scale
    np.testing.assert_allclose(shown[2:], 1.0)


@pytest.mark.parametrize("reference", [0.0, 1.0])
@pytest.mark.parametrize("sample", [0.0, 1.0, np.nan])
def test_layers_without_energy_or_of_one_value_draw_without_a_warning(reference: float, sample: float) -> None:
    images = {"Geant4": meshed(np.full((12, 6), reference)), "flow": meshed(np.full((12, 6), sample))}
    figure = image_grid(images)
    assert to_png(figure)[:4] == b"\x89PNG"
    assert "data:image/png;base64" in to_svg(figure)


def test_titles_and_several_samples(layers: list[np.ndarray]) -> None:
    figure = image_grid(dict.fromkeys(("Geant4", "teacher", "student"), meshed(*layers)))
    titles = [axes.get_title() for axes in figure.axes[:5]]
    assert titles == ["Geant4", "teacher", "student", "teacher / Geant4", "student / Geant4"]


def test_a_single_cell() -> None:
    assert image_grid({"Geant4": meshed(np.array([[2.0]])), "flow": meshed(np.array([[1.0]]))}).axes


@pytest.mark.parametrize(
    "images",
    [
        {},
        {"Geant4": []},
        {"Geant4": meshed(np.ones((3, 96))), "flow": meshed(np.ones((3, 96)), np.ones((12, 6)))},
        {"Geant4": meshed(np.ones((3, 96))), "flow": meshed(np.ones((96, 3)))},
        {"Geant4": [(np.ones((3, 96)), np.ones((3, 96)), np.ones((3, 96)))]},
        {"Geant4": [(np.ones(289), np.ones(289), np.ones(288))]},
        {"Geant4": [np.ones((3, 96))]},
    ],
)
def test_pictures_that_do_not_match_are_refused(images: dict[str, list[Mesh]]) -> None:
    with pytest.raises(ShapeError, match="every sample needs for each row"):
        image_grid(images)


def test_samples_and_ratios_apart_have_the_same_height_and_panels(layers: list[np.ndarray]) -> None:
    images = {"Geant4": meshed(*layers), "flow": meshed(*layers)}
    samples, ratios = (image_grid(images, show=show) for show in ("samples", "ratios"))
    assert [axes.get_title() for axes in samples.axes[:2]] == ["Geant4", "flow"]
    assert ratios.axes[0].get_title() == "flow / Geant4"
    assert samples.get_figheight() == ratios.get_figheight()
    heights = [figure.axes[0].get_window_extent().height for figure in (samples, ratios)]
    assert heights[0] == pytest.approx(heights[1], rel=0.02)
    with pytest.raises(ShapeError, match="second sample"):
        image_grid({"Geant4": meshed(*layers)}, show="ratios")
