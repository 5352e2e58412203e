from __future__ import annotations

import math
from collections import defaultdict

import pytest

from hepflows.applications.calorimeter.published import METRICS, datasets, published_rows
from hepflows.errors import ConfigError

# numbers of rows, sums of values and sums of errors, added up from the printed tables apart from the files
SUMS: dict[str, dict[str, tuple[int, float, float]]] = {
    "calochallenge_1_photons": {
        "auc_low": (16, 13.032, 0.041),
        "auc_high": (16, 12.300, 0.040),
        "fpd": (16, 471.84, 4.70),
        "kpd": (16, 34.38, 3.80),
        "precision": (16, 11.00, 0.0),
        "recall": (16, 7.028, 0.0),
        "density": (16, 965.79, 0.0),
        "coverage": (16, 14.03, 0.0),
        "parameters": (15, 3980874000, 0.0),
        "cpu_ms_1": (15, 114304.77, 0.0),
        "cpu_ms_100": (15, 18217.03, 0.0),
        "cpu_ms_10000": (15, 22016.85, 0.0),
        "gpu_ms_1": (14, 18727.28, 0.0),
        "gpu_ms_100": (14, 357.60, 0.0),
        "gpu_ms_10000": (13, 78.93, 0.0),
    },
    "calochallenge_1_pions": {
        "auc_low": (13, 10.810, 0.033),
        "auc_high": (13, 10.900, 0.026),
        "fpd": (13, 2121.91, 11.31),
        "kpd": (13, 103.80, 5.34),
        "precision": (13, 8.06, 0.0),
        "recall": (13, 7.23, 0.0),
        "density": (13, 97.78, 0.0),
        "coverage": (13, 9.77, 0.0),
        "parameters": (12, 5470760000, 0.0),
        "cpu_ms_1": (12, 256851.75, 0.0),
        "cpu_ms_100": (12, 11814.07, 0.0),
        "cpu_ms_10000": (12, 10512.61, 0.0),
        "gpu_ms_1": (11, 15015.84, 0.0),
        "gpu_ms_100": (11, 304.92, 0.0),
        "gpu_ms_10000": (10, 48.71, 0.0),
    },
    "calochallenge_2": {
        "auc_low": (18, 14.015, 0.057),
        "auc_high": (18, 14.875, 0.047),
        "auc_resnet": (18, 16.438, 0.050),
        "fpd": (18, 14562.13, 74.65),
        "kpd": (18, 81.51, 3.76),
        "precision": (18, 3.788, 0.0),
        "recall": (18, 5.436, 0.0),
        "density": (18, 2074.632, 0.0),
        "coverage": (18, 13.368, 0.0),
        "parameters": (17, 700202400, 0.0),
        "cpu_ms_1": (17, 889762.26, 0.0),
        "cpu_ms_100": (17, 248702.37, 0.0),
        "gpu_ms_1": (17, 110989.14, 0.0),
        "gpu_ms_100": (17, 1681.64, 0.0),
        "cpu_ms_10000": (11, 21981.02, 0.0),
        "gpu_ms_10000": (6, 61.01, 0.0),
    },
    "calochallenge_3": {
        "auc_low": (16, 12.648, 0.085),
        "auc_high": (16, 14.010, 0.029),
        "auc_resnet": (16, 14.865, 0.037),
        "fpd": (16, 42211.85, 78.60),
        "kpd": (16, 353.48, 6.67),
        "precision": (16, 3.157, 0.0),
        "recall": (16, 2.857, 0.0),
        "density": (16, 4003.582, 0.0),
        "coverage": (16, 11.152, 0.0),
        "parameters": (15, 2428482400, 0.0),
        "cpu_ms_1": (15, 16733589.70, 0.0),
        "cpu_ms_100": (15, 988663.28, 0.0),
        "gpu_ms_1": (15, 721371.90, 0.0),
        "gpu_ms_100": (15, 9318.62, 0.0),
        "gpu_ms_10000": (6, 5107.92, 0.0),
        "cpu_ms_10000": (6, 4685.81, 0.0),
    },
}


def test_every_column_adds_up() -> None:
    for dataset, columns in SUMS.items():
        assert {metric for metric in METRICS if _published(dataset, metric)} == set(columns)
        for metric, (number, values, errors) in columns.items():
            rows = published_rows(dataset, metric)
            assert len(rows) == number
            assert math.fsum(row.value for row in rows) == pytest.approx(values, rel=1e-12), (dataset, metric)
            assert math.fsum(row.error or 0.0 for row in rows) == pytest.approx(errors, rel=1e-12), (dataset, metric)


def _published(dataset: str, metric: str) -> bool:
    try:
        return bool(published_rows(dataset, metric))
    except ConfigError:
        return False


def test_caloflow_on_calogan_data() -> None:
    found = {
        dataset: [(row.model, row.value, row.error) for row in published_rows(f"calogan_{dataset}", "auc_low")]
        for dataset in ("eplus", "gamma", "piplus")
    }
    teacher, student, coupling = "CaloFlow v1 teacher", "CaloFlow v2 student", "coupling-layer flow"
    assert found == {
        "eplus": [("CaloGAN", 1.0, None), (teacher, 0.859, 0.010), (student, 0.786, 0.007), (coupling, 0.638, None)],
        "gamma": [("CaloGAN", 1.0, None), (teacher, 0.756, 0.048), (student, 0.758, 0.014), (coupling, 0.631, None)],
        "piplus": [("CaloGAN", 1.0, None), (teacher, 0.649, 0.003), (student, 0.729, 0.002), (coupling, 0.705, None)],
    }


def test_every_table_says_where_it_comes_from_and_what_it_holds_for() -> None:
    assert set(datasets()) == {*SUMS, "calogan_eplus", "calogan_gamma", "calogan_piplus"}
    for dataset in datasets():
        for row in published_rows(dataset, "auc_low"):
            assert "Geant4 samples" in row.caveat
            assert "no rank" in row.caveat
            assert row.source.startswith("arXiv:") == (row.model != "coupling-layer flow")
            assert row.dataset.startswith(("CaloGAN data", "CaloChallenge dataset"))
    assert "0.5 is out of reach" in published_rows("calochallenge_1_pions", "auc_low")[0].caveat
    assert published_rows("calogan_gamma", "auc_low")[-1].caveat.endswith("the protocol of its classifier is not known")
    assert published_rows("calogan_gamma", "auc_low")[2].source.startswith("arXiv:2110.11377")


def test_numbers_make_sense() -> None:
    """What no measurement can exceed, and that the same model stands once in a table."""
    bounds = defaultdict(lambda: (0.0, math.inf), {"kpd": (-0.1, math.inf)})
    bounds |= dict.fromkeys(("auc_low", "auc_high", "auc_resnet"), (0.49, 1.0))
    bounds |= dict.fromkeys(("precision", "recall", "coverage"), (0.0, 1.0))
    for dataset, columns in SUMS.items():
        for metric in columns:
            rows = published_rows(dataset, metric)
            assert len({row.model for row in rows}) == len(rows)
            low, high = bounds[metric]
            assert all(low <= row.value <= high and (row.error is None or row.error >= 0) for row in rows)
            assert (rows[0].model == "GEANT4") == (metric != "parameters" and "_ms_" not in metric)


def test_times_keep_their_batch() -> None:
    teacher = {
        metric: row.value
        for metric in METRICS
        if "_ms_" in metric
        for row in published_rows("calochallenge_1_photons", metric)
        if row.model == "CaloFlow teacher"
    }
    assert list(teacher.values()) == [42875.0, 2053.0, 1912.0, 4193.0, 45.49, 8.13]


def test_a_row_is_printed_with_its_unit() -> None:
    printed = {str(published_rows("calochallenge_1_photons", metric)[1]) for metric in ("auc_low", "fpd", "recall")}
    assert printed == {"CaloDiffusion: 0.635 ± 0.003", "CaloDiffusion: (0.65 ± 0.13) × 10⁻³", "CaloDiffusion: 0.67"}
    assert str(published_rows("calochallenge_1_photons", "gpu_ms_100")[0]) == "CaloDiffusion: 75.21 ms"
    assert str(published_rows("calogan_eplus", "auc_low")[0]) == "CaloGAN: 1.000"


@pytest.mark.parametrize(
    ("dataset", "metric", "words"),
    [
        ("calochallenge_9", "fpd", "choose one of calochallenge_1_photons, calochallenge_1_pions"),
        ("../config", "fpd", "there are no published results for '../config'"),
        (
            "calochallenge_1_pions",
            "auc_resnet",
            "no 'auc_resnet' is published for calochallenge_1_pions: choose one of auc_low",
        ),
        ("calochallenge_2", "cpu_ms_7", "no 'cpu_ms_7' is published"),
        ("calochallenge_2", "model", "no 'model' is published"),
        ("calogan_eplus", "cpu_ms_1", "choose one of auc_low$"),
    ],
)
def test_what_is_not_published_is_said(dataset: str, metric: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        published_rows(dataset, metric)
    assert "\n" not in str(caught.value)
