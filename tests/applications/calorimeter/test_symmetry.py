"""Orientations: which movements the cells allow, and which of them the data allow."""

from __future__ import annotations

import numpy as np
import torch
from toy_calorimeter import TOY, toy_showers

from hepflows.applications.calorimeter import CALOGAN, Geometry, GridLayer, PolarLayer, Showers, load_geometry
from hepflows.applications.calorimeter.models.symmetry import asymmetries, moved, movements, orientations

FLIP_X = np.diag([-1.0, 1.0])
RINGS = Geometry("rings", (PolarLayer((0, 5, 10), 1), PolarLayer((0, 5, 10, 20), 8), PolarLayer((0, 10), 12)))


def test_images_of_a_grid() -> None:
    order = moved(TOY, FLIP_X)
    assert order is not None
    assert order[:6].tolist() == [3, 4, 5, 0, 1, 2]
    assert order[order].tolist() == list(range(12))


def test_movements_that_the_cells_allow() -> None:
    assert len(movements(CALOGAN)) == 4  # 3 x 96 cells cannot be turned by a quarter
    assert len(movements(Geometry("square", (GridLayer((4, 4), (5.0, 5.0)),)))) == 8
    assert len(movements(RINGS)) == 2 * 4  # turns by the common divisor of 8 and 12
    assert len(movements(load_geometry("calochallenge-2"))) == 2 * 16
    assert len(movements(Geometry("rings alone", (PolarLayer((0, 5, 10), 1),)))) >= 1


def test_a_movement_takes_each_cell_to_the_place_it_says() -> None:
    for matrix in movements(RINGS):
        order = moved(RINGS, matrix)
        assert order is not None
        assert sorted(order) == list(range(RINGS.n_voxels))
        for part, layer in zip(RINGS.slices, RINGS.layers, strict=True):
            where = layer.coordinates
            if "x" in where:
                places = matrix @ np.stack([where["x"], where["y"]])
                ends = order[part] - part.start
                np.testing.assert_allclose(places, np.stack([where["x"][ends], where["y"][ends]]), atol=1e-9)


def test_images_are_used_only_where_the_data_agree() -> None:
    assert len(orientations(toy_showers(3000))) == 4
    assert orientations(toy_showers(3000), conditions=["pdg", "phi"]) is None
    tilted = toy_showers(3000, tilt=0.3)
    assert len(orientations(tilted)) == 2
    order = moved(TOY, FLIP_X)
    assert order is not None
    assert abs(asymmetries(tilted, order)[0, 0]) > 5
    assert torch.equal(orientations(tilted)[0], torch.arange(12))


def test_rings_that_are_hit_more_on_one_side_lose_their_turns() -> None:
    rng = np.random.default_rng(1)
    voxels = rng.gamma(2.0, size=(4000, RINGS.n_voxels))
    energies = np.full(len(voxels), 10.0)
    assert len(orientations(Showers(energies, voxels, geometry=RINGS))) == 8
    x = RINGS.layers[1].coordinates["x"]
    voxels[:, RINGS.slices[1]] *= 1 + 0.2 * np.sign(x)
    left = orientations(Showers(energies, voxels, geometry=RINGS))
    assert len(left) == 2  # itself, and the reflection of y
    np.testing.assert_allclose(x[left[1][RINGS.slices[1]] - RINGS.slices[1].start], x, atol=1e-9)
