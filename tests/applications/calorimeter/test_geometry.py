from __future__ import annotations

import numpy as np
import pytest

from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry, Layer
from hepflows.errors import ShapeError


def test_calogan_is_the_published_one() -> None:
    assert [layer.shape for layer in CALOGAN.layers] == [(3, 96), (12, 12), (12, 6)]
    assert CALOGAN.n_voxels == 504
    assert CALOGAN.n_layers == 3
    assert CALOGAN.slices == (slice(0, 288), slice(288, 432), slice(432, 504))


@pytest.mark.parametrize("layer", CALOGAN.layers)
def test_every_layer_covers_the_same_window_of_480_mm(layer: Layer) -> None:
    for centres, size, n in zip((layer.x_mm, layer.y_mm), layer.cell_mm, layer.shape, strict=True):
        assert centres.shape == (n,)
        assert centres[0] - size / 2 == -240
        assert centres[-1] + size / 2 == 240
        np.testing.assert_allclose(np.diff(centres), size)
        np.testing.assert_allclose(centres, -centres[::-1])


def test_an_odd_number_of_cells_has_one_on_the_axis() -> None:
    assert Layer((3, 1), (160.0, 10.0)).x_mm.tolist() == [-160, 0, 160]
    assert Layer((3, 1), (160.0, 10.0)).y_mm.tolist() == [0]


def test_any_number_of_layers() -> None:
    geometry = Geometry("six", tuple(Layer((index + 1, 2), (1.0, 1.0)) for index in range(6)))
    covered = np.concatenate([np.arange(geometry.n_voxels)[where] for where in geometry.slices])
    assert covered.tolist() == list(range(2 * 21))
    assert [where.stop - where.start for where in geometry.slices] == [2, 4, 6, 8, 10, 12]


def test_geometries_are_values() -> None:
    assert Geometry("CaloGAN", CALOGAN.layers) == CALOGAN
    assert Geometry("other", CALOGAN.layers) != CALOGAN
    assert hash(Geometry("CaloGAN", CALOGAN.layers)) == hash(CALOGAN)


@pytest.mark.parametrize(("shape", "cell"), [((0, 3), (1.0, 1.0)), ((3, 3), (0.0, 1.0)), ((3,), (1.0, 1.0))])
def test_impossible_layers_are_refused(shape: tuple[int, int], cell: tuple[float, float]) -> None:
    with pytest.raises(ShapeError, match="give two positive numbers for each"):
        Layer(shape, cell)


def test_a_geometry_needs_a_layer() -> None:
    with pytest.raises(ShapeError, match="'none' has no layers"):
        Geometry("none", ())
