"""The report of an integration says what is known, shows it, and needs nothing else."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hepflows.applications.integration import FlowIntegrator, Integrand, report_pictures
from hepflows.applications.integration.processes import ee3j_5d
from hepflows.applications.integration.report import write_report


class Page(HTMLParser):
    """Texts, links and numbers of figures of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.figures = 0
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.figures += tag == "figure"
        self.links += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page(integrand: Integrand, tmp_path: Path, neval: int = 20_000, events: int = 500, **options: object) -> Page:
    integrator = FlowIntegrator(integrand.bounds, seed=1)
    result = integrator(integrand.function, neval)
    write_report(tmp_path / "report.html", result, integrand, integrator.sample(events) if events else None, **options)
    return Page(tmp_path / "report.html")


def test_a_process_shows_number_truth_rounds_events_and_momenta(tmp_path: Path) -> None:
    metrics = {
        "auc": 0.7, "auc_std": 0.01, "auc_floor_std": 0.01, "power_ok": True, "verdict": "AUC 0.7", "truth_exceeded": 3,
        "n_truth": 1000, "truth_largest": 1.2,
    }  # fmt: skip
    found = page(
        ee3j_5d(), tmp_path, metrics=metrics, manifest={"command": "hepflows <x>", "versions": {"python": "3"}}
    )
    for words in ("Result", "Rounds and weights", "Events", "Momenta", "Classifier", "How it was made"):
        assert words in found.text
    assert "16.715342" in found.text
    assert "errors away" in found.text
    assert "3 of 1000 events of the truth exceeded the bound" in found.text
    assert "hepflows <x>" in found.text
    # rounds, weights, plane, 5 coordinates, thrust, Durham, 3 masses
    assert found.figures == 13
    assert not [link for link in found.links if not link.startswith(("data:", "#"))]


def test_an_unreliable_result_says_why(tmp_path: Path) -> None:
    from hepflows.applications.integration.integrands import camel

    found = page(camel(16), tmp_path, neval=2000, events=0)
    assert "NOT RELIABLE" in found.text
    assert "use more evaluations" in found.text
    assert found.figures == 1  # no events, so only the rounds


def test_many_outputs_stand_in_a_table(tmp_path: Path) -> None:
    def function(x: np.ndarray) -> dict[str, np.ndarray]:
        return {"total": x[:, 0], "parts": np.stack([x[:, 0] ** 2, x[:, 0] ** 3], 1), "wave": np.exp(1j * x[:, 0])}

    found = page(Integrand("many", function, ((0.0, 1.0),)), tmp_path, neval=4000)
    for words in ("total", "parts[0]", "parts[1]", "Re wave", "Im wave"):
        assert words in found.text
    assert found.figures == 3  # one dimension: no plane


def test_of_many_coordinates_the_first_are_shown(tmp_path: Path) -> None:
    bounds = (*(((0.0, 1.0),) * 7), (0.0, np.inf), 3)
    integrand = Integrand("wide", lambda x: np.exp(-x[:, 7]) * x[:, 0], bounds)
    found = page(integrand, tmp_path, neval=4000, events=200)
    assert "first 8 of 9 coordinates" in found.text
    assert found.figures == 3 + 8


@pytest.mark.parametrize("bound", [(0.0, 1.0), 4])
def test_a_projection_has_unit_area(bound: tuple[float, float] | int) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 4, 1000) if isinstance(bound, int) else rng.random(1000)
    figure = report_pictures.projection(x, rng.random(1000), bound, "x")
    content, edges, _ = figure.axes[0].patches[0].get_data()
    assert np.sum(content * np.diff(edges)) == pytest.approx(1.0)
    assert len(content) == (4 if isinstance(bound, int) else 50)


def test_pictures_of_signed_weights() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((1000, 2))
    weight = np.where(x[:, 0] < 0.3, -1.0, 1.0)
    figure = report_pictures.projection(x[:, 0], weight, (0.0, 1.0), "x")
    assert figure.axes[0].get_ylim()[0] < -0.5
    mesh = report_pictures.plane(x, weight, [(0.0, 1.0)] * 2, ["x", "y"]).axes[0].collections[0]
    assert mesh.norm.vmin == -mesh.norm.vmax


def test_the_weights_of_a_constant_function_are_one_bar() -> None:
    figure = report_pictures.weights(np.ones(100), 1.0)
    content, edges, _ = figure.axes[0].patches[0].get_data()
    assert content.sum() == content.max() == 100
    assert edges[0] < 1 < edges[-1]
