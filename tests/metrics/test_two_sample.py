from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from hepflows.errors import DataError, ShapeError
from hepflows.metrics import separation, separation_of_counts
from hepflows.metrics.separations import Separations
from hepflows.metrics.two_sample import entries, histogram, power_of, quantile_edges

EDGES = np.linspace(-3, 3, 21)


def test_separation_by_hand() -> None:
    # p = (3, 1) / 4, q = (1, 3) / 4: 1/2 * 2 * (1/2)^2 / 1
    assert power_of([3, 1, 0], [1, 3, 0]) == pytest.approx(0.25)
    assert power_of([1, 2, 3], [10, 20, 30]) == pytest.approx(0.0)
    assert power_of([1, 0], [0, 9]) == pytest.approx(1.0)


def test_separation_of_two_gaussians_is_the_integral() -> None:
    rng, shift, n = np.random.default_rng(0), 0.7, 200_000

    def integrand(t: float) -> float:
        p, q = norm.pdf(t), norm.pdf(t, shift)
        return float(0.5 * (p - q) ** 2 / (p + q))

    found = separation(rng.normal(size=n), rng.normal(shift, 1, n), edges=np.linspace(-4, 5, 181))
    assert found.value - found.floor == pytest.approx(quad(integrand, -9, 9)[0], rel=0.01)


def test_histograms_keep_what_lies_outside_and_leave_out_what_does_not_exist() -> None:
    contents, n = histogram([-9.0, 0.0, 0.5, 1.0, 2.0, 7.0, np.nan], [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(contents, [1, 2, 2, 1])
    assert n == 6
    inside = np.random.default_rng(0).uniform(0, 2, 100)
    np.testing.assert_array_equal(histogram(inside, EDGES)[0][1:-1], np.histogram(inside, EDGES)[0])
    contents, n = histogram([0.5, 0.5, 1.5], [0.0, 1.0, 2.0], weights=[1.0, 2.0, 3.0])
    np.testing.assert_array_equal(contents, [0, 3, 3, 0])
    assert n == pytest.approx(36 / 14)


@pytest.mark.parametrize(("n", "m", "bins"), [(500, 500, 20), (60, 60, 40), (2000, 300, 20)])
def test_the_floor_is_the_mean_of_equal_samples(n: int, m: int, bins: int) -> None:
    rng = np.random.default_rng(1)
    edges = np.linspace(-3, 3, bins + 1)
    found = [separation(rng.normal(size=n), rng.normal(size=m), edges=edges) for _ in range(400)]
    values, floors, deviations = np.array([(one.value, one.floor, one.floor_std) for one in found]).T
    assert values.mean() == pytest.approx(floors.mean(), rel=0.05)
    assert values.std() == pytest.approx(deviations.mean(), rel=0.12)


def test_weights_turn_one_distribution_into_another_at_a_price() -> None:
    rng, n, shift = np.random.default_rng(2), 20_000, 0.5
    reference, generated = rng.normal(size=n), rng.normal(shift, 1, n)
    weights = norm.pdf(generated) / norm.pdf(generated, shift)
    plain = separation(generated, reference, edges=EDGES)
    weighted = separation(generated, reference, edges=EDGES, weights=(weights, None))
    assert plain.value > 20 * plain.floor
    assert abs(weighted.value - weighted.floor) < 5 * weighted.floor_std
    assert weighted.floor > plain.floor


def test_observables_that_do_not_exist() -> None:
    nothing, something = np.full(10, np.nan), np.linspace(0, 1, 10)
    assert separation(nothing, nothing, edges=EDGES).value == 0.0
    assert separation(nothing, something, edges=EDGES).value == 1.0
    some = np.r_[something, nothing]
    assert separation(some, something, edges=EDGES).value == pytest.approx(0.0)


def test_entries_of_one_event_are_not_independent() -> None:
    rng = np.random.default_rng(3)

    def spectra(n: int) -> np.ndarray:
        # each event puts its hundred entries into one bin: the statistics are those of events
        counts = np.zeros((n, 5))
        counts[np.arange(n), rng.integers(0, 5, n)] = 100
        return counts

    found = [separation_of_counts(spectra(200), spectra(200), rng=rng) for _ in range(60)]
    values, floors, deviations = np.array([(one.value, one.floor, one.floor_std) for one in found]).T
    assert floors.mean() == pytest.approx(4 / 4 * (2 / 200), rel=0.05)  # (K - 1) / 4 * (1/n + 1/m)
    assert values.mean() == pytest.approx(floors.mean(), rel=0.25)
    assert values.std() == pytest.approx(deviations.mean(), rel=0.35)


@pytest.mark.parametrize(("n", "m", "shift"), [(500, 500, 0.0), (500, 500, 0.3), (900, 300, 1.0), (400, 400, 5.0)])
def test_the_error_is_the_spread_of_repeated_experiments(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng(5)
    found = [separation(rng.normal(shift, 1, n), rng.normal(size=m), edges=EDGES) for _ in range(150)]
    values, errors = np.array([(one.value, one.std) for one in found]).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.2)  # 0.06 the error of a deviation from 150


def test_the_error_knows_weights() -> None:
    rng, n = np.random.default_rng(6), 600
    found = []
    for _ in range(120):
        generated = rng.normal(0.8, 1, n)
        weights = np.where(generated > 0, 0.25, 2.0)  # the weights depend on the bin
        found.append(separation(generated, rng.normal(size=n), edges=EDGES, weights=(weights, None)))
    values, errors = np.array([(one.value, one.std) for one in found]).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.25)


@pytest.mark.parametrize(("shift", "within"), [(0.0, 0.45), (0.8, 0.25)])  # equal ones: 1.29 in 400 experiments
def test_the_error_of_spectra_is_that_of_events(shift: float, within: float) -> None:
    """Events of many entries about a centre of their own: entry by entry the error would be several times smaller."""
    rng = np.random.default_rng(7)

    def spectra(n: int, at: float) -> np.ndarray:
        places = np.clip(rng.normal(at + rng.normal(size=(n, 1)), 0.5, size=(n, 30)) + 4, 0, 7).astype(int)
        return np.stack([(places == place).sum(axis=1) for place in range(8)], axis=1)

    found = [separation_of_counts(spectra(200, shift), spectra(300, 0.0), rng=rng, permutations=50) for _ in range(100)]
    values, errors = np.array([(one.value, one.std) for one in found]).T
    assert errors.mean() == pytest.approx(values.std(), rel=within)


@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_the_error_of_a_mean_knows_that_observables_depend_on_each_other(shift: float) -> None:
    rng, observables = np.random.default_rng(8), 8
    means, apart = [], []
    for _ in range(80):
        one, two = (rng.normal(size=(n, 1)) + 0.5 * rng.normal(size=(n, observables)) for n in (300, 450))
        found = Separations(300, 450, rng=rng)
        for place in range(observables - 1):
            found.add(str(place), one[:, place] + shift, two[:, place], edges=EDGES)
        counts = (entries(values[:, -1] + by, EDGES).toarray() for values, by in ((one, shift), (two, 0.0)))
        found.add_counts("counts", *counts, rng=rng)
        assert found.mean is not None
        means.append((found.mean.value, found.mean.std, found.mean.floor, found.mean.floor_std))
        apart.append(np.mean([each.std for each in found.values()]) / np.sqrt(observables))
        assert found.mean.value == pytest.approx(np.mean([each.value for each in found.values()]))
        assert found.mean.floor == pytest.approx(np.mean([each.floor for each in found.values()]))
    values, errors, floors, deviations = np.array(means).T
    assert errors.mean() == pytest.approx(values.std(), rel=0.3)
    if shift == 0.0:
        assert values.mean() == pytest.approx(floors.mean(), rel=0.1)
        assert deviations.mean() == pytest.approx(values.std(), rel=0.3)
    else:
        assert errors.mean() > 1.4 * np.mean(apart)  # as of independent observables


def test_a_mean_of_nothing() -> None:
    found = Separations(10, 10, rng=np.random.default_rng(0))
    assert found.mean is None
    nothing, something = np.full(10, np.nan), np.linspace(0, 1, 10)
    for name, pair in {"a": (nothing, nothing), "b": (nothing, something), "c": (something, something)}.items():
        found.add(name, *pair, edges=EDGES)
    assert [one.std for one in found.values()][:2] == [0.0, 0.0]
    assert found.mean is not None
    assert found.mean.value == pytest.approx(1 / 3)
    assert np.isfinite(found.mean.std)


def test_edges_from_a_reference() -> None:
    rng = np.random.default_rng(4)
    values = rng.lognormal(size=100_000)
    edges = quantile_edges(np.r_[values, np.nan, 0.0, -1.0], 10, log=True, tails=0.01)
    np.testing.assert_allclose(np.diff(np.log(edges)), np.log(edges[1] / edges[0]))
    assert np.mean(values < edges[0]) == pytest.approx(0.01, abs=1e-3)
    assert np.mean(values > edges[-1]) == pytest.approx(0.01, abs=1e-3)
    assert np.all(np.diff(quantile_edges(np.ones(5), 4)) > 0)
    assert np.all(np.diff(quantile_edges(np.ones(5), 4, log=True)) > 0)


def test_wrong_histograms_are_refused() -> None:
    for error, words, call in (
        (ShapeError, "same bins", lambda: power_of([1, 2], [1, 2, 3])),
        (DataError, "without content", lambda: power_of([0, 0], [1, 2])),
        (DataError, "increasing edges", lambda: separation([1.0], [1.0], edges=[2.0, 1.0])),
        (ShapeError, "one weight each", lambda: histogram([1.0, 2.0], EDGES, [1.0])),
        (ShapeError, "equal bins", lambda: separation_of_counts([[1]], [[1, 2]], rng=np.random.default_rng(0))),
        (DataError, "no value to make bins from", lambda: quantile_edges([np.nan, -1.0], 4, log=True)),
    ):
        with pytest.raises(error, match=words):
            call()  # type: ignore[no-untyped-call]


def test_values_that_differ_by_round_off_get_one_bin_around_them() -> None:
    """0.99 and its next neighbour leave no room for edges in between."""
    one = np.array([0.99, np.nextafter(0.99, 1)])
    for log in (False, True):
        edges = quantile_edges(one, 20, log=log)
        assert (np.diff(edges) > 0).all()
        assert separation(one, one, edges=edges).value == 0


def test_a_floor_is_a_separation() -> None:
    """One event of weight and many of next to none: the expansion in counts has left its domain."""
    values, weights = np.linspace(0, 1, 100), np.r_[1.0, np.full(99, 1e-9)]
    found = separation(values, values, edges=np.linspace(0, 1, 21), weights=(weights, None))
    assert 0 <= found.floor <= 1
    assert 0 <= found.floor_std <= 1
