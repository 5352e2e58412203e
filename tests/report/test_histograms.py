from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hepflows.errors import DataError
from hepflows.report.histograms import bin_edges, comparison, normalised_histogram

EDGES = np.linspace(-3.0, 3.0, 25)


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(7)
    return generator.normal(size=4000), generator.normal(0.2, 1.1, size=2500)


def test_contents_are_those_of_numpy(samples: tuple[np.ndarray, np.ndarray]) -> None:
    counts = np.histogram(samples[0], EDGES)[0]
    filled = normalised_histogram(samples[0], EDGES)
    np.testing.assert_allclose(filled.values(), counts / 4000)
    np.testing.assert_allclose(filled.variances(), counts / 4000**2)


def test_weighted_contents_and_variances(samples: tuple[np.ndarray, np.ndarray]) -> None:
    weights = np.random.default_rng(1).exponential(size=4000)
    filled = normalised_histogram(samples[0], EDGES, weights)
    np.testing.assert_allclose(filled.values(), np.histogram(samples[0], EDGES, weights=weights)[0] / weights.sum())
    squares = np.histogram(samples[0], EDGES, weights=weights**2)[0]
    np.testing.assert_allclose(filled.variances(), squares / weights.sum() ** 2)


def test_values_outside_count_in_the_whole_and_the_last_edge_is_inside() -> None:
    values = [-9.0, 0.0, 1.0, 2.0, 9.0, np.nan, np.inf, 0.5]
    filled = normalised_histogram(values, np.array([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(filled.values(), [2 / 7, 2 / 7])
    assert filled.sum(flow=True).value == pytest.approx(1.0)


def test_no_values_give_zeros() -> None:
    assert normalised_histogram([], EDGES).values().sum() == 0


def test_number_of_bins_spans_the_finite_reference() -> None:
    np.testing.assert_allclose(bin_edges(4, [0.0, np.nan, 8.0, np.inf]), [0, 2, 4, 6, 8])
    assert len(bin_edges(1, [3.0, 3.0])) == 2


@pytest.mark.parametrize("bins", [[1.0], [0.0, 0.0, 1.0], [0.0, np.nan], [2.0, 1.0], [[0.0, 1.0], [1.0, 2.0]]])
def test_wrong_bins_are_refused(bins: Any) -> None:
    with pytest.raises(DataError, match="increasing"):
        comparison([0.0], [0.0], bins=bins, label="x")


def test_wrong_weights_are_refused() -> None:
    with pytest.raises(DataError, match="3 weights for 2 values"):
        comparison([0.0, 1.0], [0.0], bins=EDGES, label="x", weights={"Geant4": [1, 1, 1]})


def drawn_ratio(figure: Any, sample: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What stands in the lower panel: centres, ratios and the half lengths of the error bars."""
    lower = figure.axes[1]
    bars = [container for container in lower.containers if hasattr(container, "has_yerr")][sample]
    x, y = bars.lines[0].get_data()
    segments = np.array([s if len(s) else np.full((2, 2), np.nan) for s in bars.lines[2][0].get_segments()])
    return np.asarray(x), np.asarray(y), 0.5 * (segments[:, 1, 1] - segments[:, 0, 1])


def test_ratio_is_the_quotient_of_fractions_and_its_error_that_of_the_sample(
    samples: tuple[np.ndarray, np.ndarray],
) -> None:
    edges = np.linspace(-1.5, 1.5, 13)
    figure = comparison(samples[0], {"flow": samples[1]}, bins=edges, label="x")
    reference, sample = (np.histogram(values, edges)[0] for values in samples)
    centres, ratio, error = drawn_ratio(figure, 0)
    expected = (sample / 2500) / (reference / 4000)
    np.testing.assert_allclose(centres, 0.5 * (edges[1:] + edges[:-1]))
    np.testing.assert_allclose(ratio, expected)
    np.testing.assert_allclose(error, expected / np.sqrt(sample))


def test_band_is_the_relative_error_of_the_reference_and_drawn_once(samples: tuple[np.ndarray, np.ndarray]) -> None:
    edges = np.linspace(-1.5, 1.5, 7)
    figure = comparison(samples[0], {"flow": samples[1], "other": samples[1]}, bins=edges, label="x")
    counts = np.histogram(samples[0], edges)[0]
    bars = [patch for patch in figure.axes[1].patches if patch.get_visible()]
    assert len(bars) == len(counts)
    np.testing.assert_allclose([bar.get_height() for bar in bars], 2 / np.sqrt(counts))
    np.testing.assert_allclose([bar.get_y() for bar in bars], 1 - 1 / np.sqrt(counts))


def test_upper_panel_shows_the_reference_filled_and_every_sample_by_name(
    samples: tuple[np.ndarray, np.ndarray],
) -> None:
    generated = {"flow": samples[1], "cost $x": samples[1][:100], "_hidden": samples[1]}
    figure = comparison(samples[0], generated, bins=EDGES, label="$x$", unit="mm", ylabel="share")
    upper, lower = figure.axes
    assert upper.get_legend_handles_labels()[1] == ["Geant4", "flow", r"cost \$x", " _hidden"]
    assert (upper.get_ylabel(), lower.get_xlabel()) == ("share", "$x$ [mm]")
    heights = upper.patches[0].get_data().values
    np.testing.assert_allclose(heights, np.histogram(samples[0], EDGES)[0] / 4000)
    assert upper.patches[0].get_fill()
    assert len({patch.get_edgecolor() for patch in upper.patches}) == 4


def test_empty_bins_leave_no_ratio_and_no_band_and_triangles_tell_of_them() -> None:
    edges = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    reference, sample = [0.5] * 4 + [1.5] * 4 + [3.5], [0.5] * 4 + [2.5] * 2 + [3.5] * 9
    figure = comparison(reference, {"flow": sample}, bins=edges, label="x")
    lower = figure.axes[1]
    _, ratio, _ = drawn_ratio(figure, 0)
    np.testing.assert_allclose(ratio, [9 / 15, 0.0, np.nan, 81 / 15])
    assert [bar.get_visible() for bar in lower.patches] == [True, True, False, True]
    marked = [line.get_xdata() for line in lower.lines if line.get_marker() == "^"]
    np.testing.assert_allclose(marked, [[2.5, 3.5]])  # nothing in the reference; ratio above the panel


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize(
    ("reference", "sample"),
    [
        ([], []),
        ([1.0], []),
        ([], [1.0]),
        (np.zeros(50), np.zeros(50)),
        (np.full(50, np.nan), np.ones(3)),
        (np.ones((4, 5)), np.ones((3, 2))),
    ],
)
def test_degenerate_samples_draw_without_a_warning(reference: Any, sample: Any, log_y: bool) -> None:
    figure = comparison(reference, {"flow": sample}, bins=[0.0, 0.5, 2.0], label="x", log_y=log_y)
    assert len(figure.axes) == 2


def test_single_bin_and_equal_values() -> None:
    figure = comparison(np.full(10, 2.0), np.full(5, 2.0), bins=1, label="x", log_x=False)
    assert drawn_ratio(figure, 0)[1] == pytest.approx([1.0])


def test_logarithmic_axes() -> None:
    values = np.geomspace(0.01, 100, 1000)
    figure = comparison(values, {"flow": values}, bins=np.geomspace(0.01, 100, 9), label="E", log_x=True, log_y=True)
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "log"]
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[1].get_yscale() == "linear"


def test_nothing_global_changes(samples: tuple[np.ndarray, np.ndarray]) -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = dict(mpl.rcParams)
    comparison(samples[0], samples[1], bins=EDGES, label="x")
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


def test_a_long_legend_takes_room_of_its_own(samples: tuple[np.ndarray, np.ndarray]) -> None:
    """Six samples: every name is written, above the axes, and they are as high as with one sample."""
    few = comparison(samples[0], {"flow": samples[1]}, bins=EDGES, label="x")
    names = [f"a rather long name {number}" for number in range(6)]
    many = comparison(samples[0], dict.fromkeys(names, samples[1]), bins=EDGES, label="x")
    axes = many.axes[0]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["Geant4", *names]
    assert legend.get_window_extent().y0 >= axes.get_window_extent().y1 - 1
    assert legend.get_window_extent().x1 <= many.bbox.x1
    heights = [one.axes[0].get_window_extent().height / one.dpi for one in (few, many)]
    assert heights[1] == pytest.approx(heights[0], abs=0.15)  # inches
    # the reference and six samples in seven looks
    looks = {(str(line.get_color()), str(line.get_linestyle())) for line in legend.get_lines()}
    looks |= {(str(patch.get_edgecolor()), str(patch.get_linestyle())) for patch in legend.get_patches()}
    assert len(looks) == 7
