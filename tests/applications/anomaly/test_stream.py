"""Real stars of GD-1 (Gaia DR2), where the third-party data are there: the stream is found, and nothing where there is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from anomaly_command import anomaly

from hepflows.io.columns import open_columns

ROOT = Path(__file__).parents[3]
STARS = Path(os.environ.get("HEPFLOWS_THIRD_PARTY_DATA", ROOT.parent / "shared" / "data")) / "gaia_gd1" / "gd1_data.hdf"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not STARS.exists(), reason="no third-party data")]


def column(key: str, name: str) -> np.ndarray:
    with open_columns(STARS, key=key) as table:
        return np.concatenate([part[name] for part in table.iterate([name], chunk=10_000)])


def search(
    monkeypatch: pytest.MonkeyPatch, out: Path, region: str, sidebands: str
) -> tuple[dict, np.ndarray, np.ndarray]:
    arguments = [
        "run", STARS, "--key", "centerline_df", "--units", "mas/yr", "--resonance", "pm_phi1", "--features", "phi1,phi2,pm_phi2",
        f"--signal-region={region}", f"--sidebands={sidebands}", "--preset", "stream", "--out", out,
    ]  # fmt: skip
    assert anomaly(monkeypatch, *arguments) == 0
    with h5py.File(out / "scores.hdf5") as file:
        return json.loads((out / "metrics.json").read_text()), file["score"][:], file["in_signal_region"][:] == 1


def test_the_stream_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, scores, inside = search(monkeypatch, tmp_path / "gd1", "-9:-6.9", "-12:-4")
    assert metrics["significance"] > 8
    stars = column("centerline_df", "source_id")
    box = np.isin(stars, column("selected_df", "source_id"))[inside]
    members = np.isin(stars, column("winner_df", "source_id"))[inside] & box
    top = scores[inside] >= np.quantile(scores[inside], 0.8)
    assert members.sum() == 103
    assert box[top].mean() > 0.85  # 0.32 of the signal region
    assert members[top].sum() > 0.5 * members.sum()  # 0.2 at random
    # a profile that nothing was tuned to: the stream is narrow in phi2
    profile = np.histogram(column("centerline_df", "phi2")[inside][top], 10, (-1, 1))[0]
    assert profile[2:7].sum() > 5 * profile[[0, 1, 7, 8, 9]].sum()


def test_a_window_without_a_stream_shows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, *_ = search(monkeypatch, tmp_path / "field", "-5.5:-4.5", "-6.9:-3")
    assert abs(metrics["significance"]) < 3
