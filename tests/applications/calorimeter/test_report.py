from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepflows.applications.calorimeter import report, report_pictures
from hepflows.applications.calorimeter.data import Showers
from hepflows.applications.calorimeter.geometry import CALOGAN, Geometry, GridLayer
from hepflows.applications.calorimeter.report import write_report
from hepflows.errors import DataError

ONE = Geometry("one small layer", (GridLayer((2, 2), (20.0, 10.0)),))
SMALL = Geometry("two small layers", (GridLayer((2, 3), (20.0, 10.0)), GridLayer((1, 4), (40.0, 10.0))))
HOSTILE = "<script>alert('x')</script> & $x$"
METRICS: dict[str, Any] = {
    "auc": 0.7143,
    "auc_std": 0.0123,
    "auc_floor": 0.503,
    "auc_floor_std": 0.0088,
    "power_auc": 0.993,
    "power_ok": True,
    "jsd": -0.0123,
    "n_classifier_train": 60_000,
    "n_classifier_select": 20_000,
    "n_classifier_score": 20_000,
    "n_train": 70_000,
    "train_seconds": 252.0,
    "ms_per_shower": 1.834,
    "separation": {"energy_0": 0.01234, "my_own": 0.2, "width_x_2": None},
    "separation_floor": {"energy_0": 0.0031},
}


def make(n: int, seed: int = 0, geometry: Geometry = CALOGAN, **attributes: str) -> Showers:
    generator = np.random.default_rng(seed)
    energies = generator.uniform(1, 100, n)
    voxels = generator.exponential(size=(n, geometry.n_voxels)) * (generator.random((n, geometry.n_voxels)) < 0.5)
    voxels[:, 0] += 0.01  # no shower without energy
    voxels *= (generator.uniform(960, 1000, n) * energies / voxels.sum(axis=1))[:, None]
    return Showers(energies, voxels, np.zeros((n, geometry.n_layers)), geometry, attributes)


class Reader(HTMLParser):
    """Tags closed in order, resources and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.resources: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.resources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.resources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a run with all there is, on CaloGAN's cells."""
    path = tmp_path_factory.mktemp("run") / "report.html"
    rate = np.linspace(0, 1, 101)
    write_report(
        path,
        showers={"Geant4": make(150, 1, data_tables="synthesised: Tsai"), "CaloFlow": make(120, 2)},
        metrics={"CaloFlow": METRICS},
        histories={
            "Flow I": {"train": [3.0, 2.0], "validation": [3.0, 2.5]},
            "Flow II": {"train": np.arange(5.0, 0, -1), "validation": np.array([5, 4, 3, 3.5, 4])},
        },
        roc={"generated": (rate, rate**0.4), "floor": (rate, rate), "power check": (rate, rate**0.01)},
        manifest={"command": "hepflows calorimeter run x.root", "identity": {"seed": 1, "data": [{"sha256": "f00d"}]}},
        title="CaloFlow on x.root",
    )
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    return path.read_text(encoding="utf-8")


def test_the_page_is_well_formed_self_contained_and_not_large(full: str) -> None:
    reader = Reader(full)
    assert not {"script", "link", "iframe", "object"} & set(reader.tags)
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in reader.resources)
    assert "http://" not in full
    assert "https://" not in full
    assert len(full) < 5_000_000


def test_everything_that_was_asked_for_is_shown(full: str) -> None:
    reader = Reader(full)
    for words in (
        *(
            "Average showers",
            "Total / incident energy",
            "Energy, layer 2",
            "Sparsity, layer 0",
            "Centroid in x, layer 1",
        ),
        *("Width in y, layer 2", "Voxel energies, layer 1", "Classifier.", "Flow I.", "Flow II.", "Separation"),
        *("hepflows calorimeter run x.root", "f00d", "Geant4 (150 showers), CaloFlow (120 showers)"),
    ):
        assert words in reader.text, words
    # 2 of the averages, 4 + 2 of energies and depth, 3 sparsity, 6 centroids, 6 widths, 3 voxels, 10 more, 3 curves
    assert reader.tags.count("svg") == 2 + 6 + 3 + 6 + 6 + 3 + 10 + 3
    assert reader.tags.count("figure") == reader.tags.count("svg") - 1


def test_the_verdict_comes_first_with_its_numbers(full: str) -> None:
    text = Reader(full).text
    assert text.index("Distinguishable from Geant4.") < text.index("Mean energy of each cell")
    for words in (
        *("AUC = 0.714 ± 0.012", "0.503 ± 0.009 (the floor)", "more than ten standard deviations", "0.993", "−0.012"),
        *("60,000 / 20,000 / 20,000", "70,000 showers", "4 min 12 s", "1.83 ms", "passed"),
        *("synthesised: Tsai", "never a ranking"),
    ):
        assert words in text, words
    assert "Small sample" not in text


def test_the_table_of_separations_is_sorted_and_has_floors(full: str) -> None:
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", full)
    table = [(name, re.findall(r">([^<]*)</td>", rest)) for name, rest in rows if len(re.findall("<td", rest)) == 3]
    assert table[:3] == [
        ("My own", ["0.2000", "–", "–"]),
        ("Energy, layer 0", ["0.0123", "0.0031", "4.0"]),
        ("Width in x, layer 2", ["–", "–", "–"]),
    ]
    assert "Separation 0.0123, floor 0.0031." in Reader(full).text


@pytest.fixture
def without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_write_images", lambda *anything: None)
    monkeypatch.setattr(report, "_write_distributions", lambda *anything: None)


def page_of(path: Path, **options: Any) -> Reader:
    showers = options.pop("showers", {"Geant4": make(5, 1, SMALL), "flow": make(5, 2, SMALL)})
    write_report(path / "report.html", showers=showers, **options)
    return Reader((path / "report.html").read_text(encoding="utf-8"))


@pytest.mark.usefixtures("without_plots")
def test_what_is_missing_is_left_out(tmp_path: Path) -> None:
    reader = page_of(tmp_path)
    assert "No classifier test." in reader.text
    for words in ("AUC", "Training", "Small sample", "Power check", "Command", "floor"):
        assert words not in reader.text
    assert "dl" not in reader.tags


@pytest.mark.usefixtures("without_plots")
@pytest.mark.parametrize("name", sorted(METRICS))
def test_any_metric_may_be_missing_or_null(tmp_path: Path, name: str) -> None:
    for metrics in ({**METRICS, name: None}, {key: value for key, value in METRICS.items() if key != name}):
        assert "nan" not in page_of(tmp_path, metrics={"flow": metrics}).text.lower().replace("nano", "")


@pytest.mark.usefixtures("without_plots")
def test_names_attributes_and_manifest_are_escaped(tmp_path: Path) -> None:
    showers = {f"{HOSTILE} {i}": make(5, i, SMALL, **{HOSTILE: HOSTILE}) for i in range(2)}
    manifest = {"command": HOSTILE, HOSTILE: {HOSTILE: [HOSTILE]}}
    metrics = {**METRICS, "separation": {HOSTILE: 0.1}, "protocol": {"name": HOSTILE}}
    rate = [0.0, 1.0]
    options: dict[str, Any] = {"roc": {HOSTILE: (rate, rate)}, "histories": {HOSTILE: {"train": [1.0]}}}
    reader = page_of(
        tmp_path, showers=showers, metrics={f"{HOSTILE} 1": metrics}, manifest=manifest, title=HOSTILE, **options
    )
    assert "script" not in reader.tags
    assert reader.text.count("<script>") > 10


@pytest.mark.parametrize("empty", ["Geant4", "flow"])
def test_a_layer_without_energy_draws_without_a_warning(empty: str) -> None:
    showers = {"Geant4": make(30, 1, ONE), "flow": make(30, 2, ONE)}
    showers[empty].voxels[:] = 0.0
    assert report_pictures.average_showers(showers)[0].figure
    titles = [picture.title for group in report_pictures.distributions(showers, {}).values() for picture in group]
    assert "Sparsity, layer 0." in titles
    # without a value in the reference there is nothing to make bins from
    assert ("Centroid in x, layer 0." in titles) == (empty == "flow")


def test_a_single_shower_whose_values_leave_no_room_for_bins() -> None:
    pictures = report_pictures.distributions({"Geant4": make(1, 1, ONE), "flow": make(1, 2, ONE)}, {})
    assert set(report_pictures.HEADINGS) <= set(pictures)
    close = np.array([0.99, np.nextafter(0.99, 1.0)])
    edges = report_pictures.OBSERVABLES["e_tot_over_e_inc"].edges(close)
    assert (np.diff(edges) > 0).all()
    assert edges[0] < 0.99 < edges[-1]


def test_averages_are_the_means_of_the_cells() -> None:
    showers = {"Geant4": make(7, 1, SMALL), "flow": make(5, 2, SMALL)}
    samples, ratios = report_pictures.average_showers(showers)[0].figure  # type: ignore[misc]
    first = [np.ma.filled(axes.collections[0].get_array(), 0.0) for axes in samples.axes[:4]]
    expected = [showers[name].layer(i).mean(axis=0) for i in range(2) for name in ("Geant4", "flow")]
    for image, mean in zip(first, expected, strict=True):
        np.testing.assert_allclose(image, mean)
    np.testing.assert_allclose(ratios.axes[0].collections[0].get_array(), expected[1] / expected[0])


def test_histograms_are_those_of_the_observables() -> None:
    from hepflows.applications.calorimeter.observables import OBSERVABLES, observables

    showers = {"Geant4": make(200, 1, ONE), "flow": make(100, 2, ONE)}
    pictures = report_pictures.distributions(showers, {"flow": {"separation": {"sparsity_0": 0.5}}})
    drawn = {picture.title: picture for group in pictures.values() for picture in group}
    upper = drawn["Sparsity, layer 0."].figure.axes[0]  # type: ignore[union-attr]
    values = {name: observables(sample)["sparsity_0"] for name, sample in showers.items()}
    edges = report_pictures.share_edges(OBSERVABLES["sparsity_0"].edges(values["Geant4"]), 4)
    for patch, name in zip(upper.patches, showers, strict=True):
        np.testing.assert_allclose(patch.get_data().values, np.histogram(values[name], edges)[0] / len(showers[name]))
    assert drawn["Sparsity, layer 0."].caption.startswith("Separation 0.5000.")

    upper = drawn["Voxel energies, layer 0."].figure.axes[0]  # type: ignore[union-attr]
    hits = showers["Geant4"].voxels[showers["Geant4"].voxels > 0]
    edges = OBSERVABLES["voxel_energy_0"].edges(hits)
    np.testing.assert_allclose(upper.patches[0].get_data().values, np.histogram(hits, edges)[0] / len(hits))
    empty = [f"{name} {100 * np.mean(sample.voxels == 0):.1f} %" for name, sample in showers.items()]
    assert f"Empty voxels: {', '.join(empty)}." in drawn["Voxel energies, layer 0."].caption


@pytest.mark.parametrize("cells", [2, 72, 144, 288, 450])
def test_bins_of_sparsity_hold_as_many_values_each(cells: int) -> None:
    """Shares k / n that are equally likely fill equal bins, the last one perhaps less."""
    for low, high in ((0.0, 1.0), (0.637, 0.991), (0.97, 1.0), (0.5, 1.5)):
        edges = report_pictures.share_edges(np.linspace(low, high, 41), cells)
        filled = np.histogram(np.arange(cells + 1) / cells, edges)[0]
        assert 1 <= len(filled) <= 40
        assert len(set(filled[:-1])) <= 1
        assert 1 <= filled[-1] <= filled[0]
        assert edges[0] <= low <= edges[1]
        assert edges[-1] >= min(high, 1.0)


def test_values_outside_the_bins_are_told() -> None:
    values = {"Geant4": np.linspace(0.96, 1.0, 101), "flow": np.r_[np.full(50, 0.5), np.full(50, 0.98), np.nan]}
    (picture,) = report_pictures._picture("e_tot_over_e_inc", values, {})
    assert picture.caption == "Outside the bins: Geant4 2.0 %, flow 50.0 %."


def test_with_many_samples_a_caption_names_what_differs() -> None:
    values = {"Geant4": np.linspace(0.96, 1.0, 101), "a": np.full(9, 0.98), "b": np.full(9, 0.5), "c": np.full(9, 0.97)}
    values["d"] = values["c"]
    metrics = {
        name: {"separation": {"e_tot_over_e_inc": x}} for name, x in zip("abcd", (0.1, 0.9, 0.2, 0.3), strict=True)
    }
    (picture,) = report_pictures._picture("e_tot_over_e_inc", values, metrics)
    assert picture.caption == "Separation up to 0.9000 (b). Outside the bins: Geant4 2.0 %, b 100.0 %."
    (picture,) = report_pictures._picture("e_tot_over_e_inc", values, dict(list(metrics.items())[:2]))
    assert picture.caption.startswith("Separation a 0.1000, b 0.9000. ")


def test_captions_have_the_floor_of_each_sample() -> None:
    values = {"Geant4": np.linspace(0.96, 1.0, 101), **{name: np.full(9, 0.98) for name in "abcd"}}

    def caption(floors: dict[str, float]) -> str:
        metrics = {
            name: {"separation": {"e_tot_over_e_inc": 0.1 + floor}, "separation_floor": {"e_tot_over_e_inc": floor}}
            for name, floor in floors.items()
        }
        (picture,) = report_pictures._picture("e_tot_over_e_inc", values, metrics)
        return picture.caption.split(" Outside")[0]

    assert caption({"a": 0.02, "b": 0.02}) == "Separation a 0.1200, b 0.1200, floor 0.0200."
    assert caption({"a": 0.02, "b": 0.04}) == "Separation a 0.1200 (floor 0.0200), b 0.1400 (floor 0.0400)."
    assert caption({"a": 0.02, "b": 0.04, "c": 0.02, "d": 0.02}) == "Separation up to 0.1400 (floor 0.0400), b."


def test_of_many_layers_a_few_are_shown() -> None:
    many = Geometry("many", tuple(GridLayer((1, 2), (1.0, 1.0)) for _ in range(45)))
    assert report_pictures.shown_layers(many) == [0, 9, 18, 26, 35, 44]
    assert report_pictures.shown_layers(SMALL) == [0, 1]


@pytest.mark.parametrize(
    ("showers", "words"),
    [
        ({"Geant4": make(3, 1, SMALL)}, "compares a reference with generated"),
        ({"Geant4": make(3, 1, SMALL), "flow": make(3, 1, SMALL)[:0]}, "'flow' has no showers"),
        ({"Geant4": make(3, 1, SMALL), "flow": make(3, 1)}, "'flow' has another geometry"),
    ],
)
def test_samples_that_cannot_be_compared_are_refused(tmp_path: Path, showers: dict[str, Showers], words: str) -> None:
    with pytest.raises(DataError, match=words):
        write_report(tmp_path / "report.html", showers=showers)
    assert list(tmp_path.iterdir()) == []
