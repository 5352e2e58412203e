"""Observations in files, and matrices that are pickled objects."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from hepflows.applications.airshower import convert
from hepflows.applications.airshower.observations import Observation, auger, read_observation, write_observation
from hepflows.applications.airshower.response import load_response
from hepflows.errors import DataError


def test_observation_returns_from_its_file(tmp_path):
    write_observation(tmp_path / "auger.h5", auger())
    again = read_observation(tmp_path / "auger.h5")
    np.testing.assert_array_equal(again.spectrum, auger().spectrum)
    np.testing.assert_array_equal(again.xmax, auger().xmax)
    assert again.name == "Pierre Auger Observatory"
    assert again.spectrum.sum() == 55_730
    assert again.xmax.sum(1).tolist() == [413, 297, 230, 165, 114, 87, 63, 40, 37]


def _changed(tmp_path, name, values):
    write_observation(tmp_path / "auger.h5", auger())
    with h5py.File(tmp_path / "auger.h5", "a") as file:
        del file[name]
        if values is not None:
            file[name] = values
    return tmp_path / "auger.h5"


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("spectrum_counts", None, "spectrum_counts"),
        ("spectrum_counts", np.full(15, 1e-19), "whole numbers"),
        ("spectrum_counts", np.full(15, -1.0), "whole numbers"),
        ("spectrum_counts", np.full(15, np.nan), "whole numbers"),
        ("spectrum_counts", np.zeros(15), "no events"),
        ("spectrum_counts", np.ones(16), r"\(16,\) instead of \(15,\)"),
        ("xmax_edges", np.arange(500.0, 1401.0, 20.0) / 10, "depths in g/cm2"),
        ("spectrum_lg_energy_edges", 10 ** np.arange(18.7, 20.25, 0.1), r"lg\(E/eV\)"),
    ],
)  # fmt: skip
def test_wrong_observations_are_one_sentence(tmp_path, name, values, sentence):
    with pytest.raises(DataError, match=sentence):
        read_observation(_changed(tmp_path, name, values))


def test_observation_of_counts_keeps_their_order():
    counts = auger().counts
    again = Observation.of(counts, "again")
    np.testing.assert_array_equal(again.xmax, auger().xmax)


class _Evil:
    def __reduce__(self):
        return os.system, ("true",)


def test_only_arrays_are_unpickled():
    arrays = {"h": np.arange(6.0).reshape(2, 3), "he": np.ones(2, dtype=np.float32)}
    found = convert._Arrays(io.BytesIO(pickle.dumps(arrays, protocol=2)), encoding="latin1")
    with pytest.raises(DataError, match="it is not read"):
        convert._Arrays(io.BytesIO(pickle.dumps(_Evil()))).load()
    try:
        again = found.load()
    except DataError:  # this NumPy pickles by other means than the files' did: refused as well
        return
    np.testing.assert_array_equal(again["h"], arrays["h"])


def test_other_files_are_not_read(tmp_path):
    (tmp_path / "matrix.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="SHA-256"):
        convert.convert(tmp_path / "matrix.npz", tmp_path / "out.hdf5")
    with pytest.raises(DataError, match="unzip the wheel"):
        convert.convert(tmp_path / "nothing.npz", tmp_path / "out.hdf5")


@pytest.mark.slow
def test_shipped_response_is_that_of_astrotools(tmp_path):
    folder = os.environ.get("HEPFLOWS_THIRD_PARTY_DATA")
    files = sorted(Path(folder).glob("**/crpropa3__*IRB_Gilmore12.npz")) if folder else []
    if not files:
        pytest.skip("HEPFLOWS_THIRD_PARTY_DATA holds no astrotools")
    found = convert.convert(files[0], tmp_path / "out.hdf5")
    np.testing.assert_allclose(found.matrix, load_response("Gilmore12").matrix, rtol=1e-6)
