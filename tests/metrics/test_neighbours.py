from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from hepflows.metrics import neighbours
from hepflows.metrics.neighbours import nearest, squared_distances


def matrix(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate([block for _, block in squared_distances(first, second)])


def exact(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(cdist(first, second, "sqeuclidean"))


def test_distances_of_ordinary_samples() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(50, 30)), rng.normal(1.0, 2.0, size=(70, 30))
    np.testing.assert_allclose(matrix(first, second), exact(first, second), rtol=1e-12)


@pytest.mark.parametrize("block", [2**23, 333])
@pytest.mark.parametrize("pairs", [2**22, 50])
def test_distances_do_not_cancel(monkeypatch: pytest.MonkeyPatch, block: int, pairs: int) -> None:
    """Clusters narrow by 1e-9 of what lies between them: a product of matrices alone gives noise, even below zero."""
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    monkeypatch.setattr(neighbours, "_PAIRS", pairs)
    rng = np.random.default_rng(1)
    centres = 1e6 * rng.normal(size=(3, 5))
    first, second = (centres[rng.integers(3, size=size)] + 1e-3 * rng.normal(size=(size, 5)) for size in (60, 80))
    second[:20] = first[:20]
    found = matrix(first, second)
    np.testing.assert_allclose(found, exact(first, second), rtol=1e-7)
    assert (np.diag(found)[:20] == 0).all()
    norms = np.einsum("ij,ij->i", first, first)[:, None] + np.einsum("ij,ij->i", second, second)
    plain = norms - 2 * first @ second.T
    assert (
        np.abs(plain - exact(first, second)).max() > 1e-6 > np.sort(exact(first, second).ravel())[21]
    )  # so they would


def test_equal_events_far_from_the_origin_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError(arguments)

    copies = np.full((300, 4), 1e8)
    monkeypatch.setattr(np, "flatnonzero", lambda mask: never() if mask.any() else np.empty(0, dtype=int))
    assert (matrix(copies, copies) == 0).all()


@pytest.mark.parametrize("block", [2**23, 500])
def test_the_nearest_are_those_of_a_full_sort(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    sample = np.random.default_rng(2).normal(size=(120, 3)) + 50
    distances = exact(sample, sample)
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1)
    for count in (1, 7, 119):
        places, found = nearest(sample, count)
        np.testing.assert_array_equal(places, order[:, :count])
        np.testing.assert_allclose(found, np.take_along_axis(distances, order, axis=1)[:, :count], rtol=1e-10)
