"""Profiles on the sky, and a stream that is found where it is and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, norm

from hepflows.applications.anomaly import Events, Regions, cross_fit, load_config
from hepflows.applications.anomaly.judge import judge
from hepflows.applications.anomaly.sky import Sky, profile
from hepflows.errors import DataError
from hepflows.io.columns import write_columns


def stars(seed: int) -> tuple[Events, Sky]:
    """A flat field in a proper motion, and a cold stream at -8 mas/yr that is narrow in phi2."""
    rng = np.random.default_rng(seed)
    field, stream = 5000, 150
    pm = np.r_[rng.uniform(-12, -4, field), rng.normal(-8, 0.3, stream)]
    phi1 = rng.uniform(-55, -45, field + stream)
    phi2 = np.r_[rng.uniform(-1, 1, field), rng.normal(0.1, 0.08, stream)]
    other = np.r_[rng.normal(0, 3, field), rng.normal(-0.6, 0.2, stream)]
    # the search does not see phi2
    return Events(pm, np.stack([phi1, other], axis=1), ("phi1", "pm_phi2"), "pm_phi1"), Sky(
        ("phi1", "phi2"), np.stack([phi1, phi2], axis=1)
    )


def test_a_stream_is_found_where_it_is_and_nowhere_else() -> None:
    events, sky = stars(1)
    settings = ["method=cwola", "classifier.members=2", "verdict.toys=0", "strip=1.0", "verdict.efficiencies=[0.1]"]
    found = {}
    for low, high in ((-8.6, -7.4), (-6.4, -5.2)):
        regions = Regions(low, high, low - 2.4, high + 2.4)
        ensemble = cross_fit(events, regions, load_config("quick", settings), seed=1)
        found[low] = judge(ensemble.score_held_out(events), events, regions, ensemble, 1, sky=sky).metrics
    stream, field = found[-8.6], found[-6.4]
    assert stream["significance"] > 4
    assert stream["sky"]["significance"] > 5
    assert stream["sky"]["p_value"] < 1e-4
    assert -0.4 < stream["sky"]["low"] < 0.1 < stream["sky"]["high"] < 0.5
    assert abs(field["significance"]) < 3
    assert field["sky"]["p_value"] > 0.01


def test_the_p_value_of_a_profile_is_on_the_safe_side() -> None:
    rng = np.random.default_rng(2)
    found = [profile(rng.uniform(-1, 1, 110), rng.uniform(-1, 1, 2800)).p_value for _ in range(100)]
    for level in (0.05, 0.2):
        assert np.mean(np.array(found) < level) < level + 3 * (level / 100) ** 0.5
    # a single place, chosen beforehand, is what its significance says
    counts = [profile(rng.uniform(-1, 1, 400), rng.uniform(-1, 1, 8000)) for _ in range(80)]
    z = [(one.counts[0] - one.expected[0]) / (one.expected[0] * (1 + 400 / 8000)) ** 0.5 for one in counts]
    assert kstest(z, norm.cdf).pvalue > 0.001


def test_places_are_read_where_the_file_has_them(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    write_columns(path, iter([{"phi1": np.arange(3.0), "phi2": np.array([0.0, np.nan, 1.0]), "b": np.ones(3)}]))
    assert Sky.read(path, ("ra", "dec"), None) is None
    found = Sky.read(path, ("b", "phi1"), None)
    assert found is not None
    assert found.places.tolist() == [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]
    with pytest.raises(DataError, match="phi1 or phi2 is not a finite number in row 1"):
        Sky.read(path, ("phi1", "phi2"), None)
