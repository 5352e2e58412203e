"""Pictures of posteriors: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from hepflows.errors import DataError
from hepflows.report.calibration import coverage, ecdf_difference, rank_histograms
from hepflows.report.corner import corner


def test_ecdf_difference_of_narrow_ranks():
    figure = ecdf_difference({"a": np.full(200, 0.5)})
    line = figure.axes[0].lines[0]
    x, y = line.get_xdata(), line.get_ydata()
    np.testing.assert_allclose(y[x < 0.495], -x[x < 0.495])
    np.testing.assert_allclose(y[x >= 0.5], 1 - x[x >= 0.5])


def test_coverage_curve_is_the_distribution_function():
    values = np.random.default_rng(0).random(300)
    line = coverage({"flow": values}).axes[0].lines[0]
    np.testing.assert_allclose(line.get_ydata()[67], np.mean(values <= 0.68))


def test_rank_histograms_hold_all_ranks():
    figure = rank_histograms({"a": np.linspace(0.01, 0.99, 200), "b": np.full(200, 0.5)}, bins=10)
    assert [int(axes.patches[-1].get_data().values.sum()) for axes in figure.axes] == [200, 200]


def test_corner_has_all_pairs_and_contours_hold_what_they_say():
    rng = np.random.default_rng(1)
    points = rng.multivariate_normal([0, 1], [[1, 0.8], [0.8, 1]], 20_000)
    figure = corner({"flow": points, "chain": points}, ["a", "b"], truth=[0, 1])
    assert len(figure.axes) == 3
    outline = figure.axes[1].collections[0]
    path = max(outline.get_paths()[0].to_polygons(), key=len)  # the lowest cut comes first: 95 %
    from matplotlib.path import Path

    assert abs(Path(path).contains_points(points).mean() - 0.95) < 0.02
    with pytest.raises(DataError, match="2 parameters"):
        corner({"flow": points[:, :1]}, ["a", "b"])
