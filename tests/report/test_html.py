from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hepflows.errors import DataError, ShapeError
from hepflows.report.html import Card, Picture, Report
from hepflows.report.plots import comparison, image_grid

HOSTILE = """<script>alert("1")</script> & 'x' </style></title>--> $title ${body} \x00"""
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Read a page strictly: every tag closed in order; keep tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if not self.open or self.open[-1] not in ("style", "title") else ""


def check_self_contained(page: str) -> None:
    reader = Reader(page)
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(reader.tags)
    for tag, name, value in reader.attributes:
        assert not name.startswith("on"), f"an event handler: {tag} {name}"
        if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            assert value.startswith(("#", "data:image/png;base64,")), f"a resource from outside: {tag} {value[:60]}"
    assert "http://" not in page
    assert "https://" not in page
    assert not re.search(r"@import|url\((?!#)", page)


def plot() -> Any:
    return comparison([0.5, 1.5], {"flow": [0.5, 0.6]}, bins=[0.0, 1.0, 2.0], label="x")


@pytest.fixture(scope="module")
def full() -> Report:
    report = Report("Showers", subtitle="of positrons", footer="end")
    report.section("Verdict")
    report.paragraph("text", lead=True)
    report.notice("careful", "warning", title="Small.")
    report.cards([Card("AUC", "0.7 ± 0.1", "the floor is 0.5", "good"), Card("n", "3")])
    report.section("Verdict")
    report.heading("More")
    report.table(["name", "value"], [["a", "1"], ["b", "2"]], caption="numbers")
    report.figures([Picture(plot(), "caption", "Title"), Picture(plot(), form="png")], wide=True)
    with report.details("hidden"):
        report.code("hepflows calorimeter run\n  file")
    return report


def test_page_is_well_formed_and_needs_nothing_else(full: Report) -> None:
    page = full.html()
    check_self_contained(page)
    assert page.startswith("<!DOCTYPE html>")
    tags = Reader(page).tags
    counts = {tag: tags.count(tag) for tag in ("section", "h1", "h2", "h3", "figure", "svg", "img", "details", "table")}
    assert counts == {
        "section": 2,
        "h1": 1,
        "h2": 2,
        "h3": 1,
        "figure": 2,
        "svg": 1,
        "img": 1,
        "details": 1,
        "table": 1,
    }


def test_sections_have_their_own_names_and_links(full: Report) -> None:
    reader = Reader(full.html())
    names = [value for tag, name, value in reader.attributes if tag == "section" and name == "id"]
    links = [value for tag, name, value in reader.attributes if tag == "a" and name == "href"]
    assert names == ["verdict", "verdict-2"]
    assert links == ["#verdict", "#verdict-2"]


def test_the_page_follows_dark_mode_and_print(full: Report) -> None:
    page = full.html()
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page
    assert 'name="viewport"' in page
    # every colour that a figure refers to has a value in dark mode
    used = set(re.findall(r"var\((--plot-[a-z0-9-]+),", page))
    defined = set(re.findall(r"(--plot-[a-z0-9-]+):", page))
    assert {"--plot-ink", "--plot-sample-0", "--plot-reference-fill"} <= used <= defined


def test_hostile_text_is_shown_and_not_run() -> None:
    report = Report(HOSTILE, subtitle=HOSTILE, footer=HOSTILE)
    report.section(HOSTILE)
    report.heading(HOSTILE)
    report.paragraph(HOSTILE)
    report.notice(HOSTILE, title=HOSTILE)
    report.code(HOSTILE)
    report.cards([Card(HOSTILE, HOSTILE, HOSTILE)])
    report.table([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]], caption=HOSTILE)
    with report.details(HOSTILE):
        report.figures([Picture(plot(), HOSTILE, HOSTILE, HOSTILE), Picture(plot(), alt=HOSTILE, form="png")])
    page = report.html()
    check_self_contained(page)
    assert page.count("<script") == 0
    assert page.count("&lt;script&gt;") >= 15
    assert Reader(page).text.count(HOSTILE.strip("\x00 ")) >= 14


def test_hostile_names_in_figures() -> None:
    sample = [(*np.meshgrid(np.arange(3.0), np.arange(3.0), indexing="ij"), np.ones((2, 2)))]
    figures = [
        comparison([0.5], {HOSTILE: [0.5]}, bins=[0.0, 1.0], label="<script>", unit="-->", reference_name=HOSTILE),
        image_grid({HOSTILE: sample, HOSTILE + "2": sample}, row_names=["<script>"]),
    ]
    report = Report("figures")
    report.figures([Picture(figure) for figure in figures])
    check_self_contained(report.html())
    assert "<script" not in report.html()


def test_figures_do_not_share_ids() -> None:
    report = Report("figures")
    report.figures([Picture(plot()), Picture(plot())])
    attributes = Reader(report.html()).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    links = [value[1:] for tag, name, value in attributes if name == "href" and value.startswith("#")]
    assert len(ids) == len(set(ids))
    assert set(links) <= set(ids)
    clips = set(re.findall(r"url\(#([^)]+)\)", report.html()))
    assert clips
    assert clips <= set(ids)


def test_a_large_drawing_becomes_a_picture() -> None:
    from hepflows.report.style import new_figure

    figure = new_figure(3, 3)
    axes = figure.subplots()
    generator = np.random.default_rng(0)
    for _ in range(60):
        axes.plot(generator.normal(size=1000))
    report = Report("large")
    report.figures([Picture(figure)])
    page = report.html()
    assert "<img" in page
    assert "<svg" not in page
    assert len(page) < 400_000


def test_file_is_what_html_returns_and_the_same_every_time(full: Report, tmp_path: Path) -> None:
    full.write(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == full.html()
    again = Report("one")
    again.figures([Picture(plot())])
    other = Report("one")
    other.figures([Picture(plot())])
    assert again.html() == other.html()
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_an_error_in_one_sentence(full: Report, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        full.write(tmp_path / "missing" / "report.html")


def test_nothing_is_written_for_nothing() -> None:
    report = Report("empty")
    report.cards([])
    report.figures([])
    assert "<dl" not in report.html()
    assert "<figure" not in report.html()


@pytest.mark.parametrize(("rows", "columns"), [([["1"]], ""), ([["1", "2", "3"]], ""), ([["1", "2"]], "h")])
def test_tables_with_rows_of_another_length_are_refused(rows: list[list[str]], columns: str) -> None:
    with pytest.raises(ShapeError, match="2 columns"):
        Report("table").table(["a", "b"], rows, columns=columns)


def test_several_figures_under_one_caption_share_the_width_in_proportion() -> None:
    from hepflows.report.style import new_figure

    report = Report("pair")
    report.figures([Picture((new_figure(6.0, 2.0), new_figure(3.0, 2.0)), "both")])
    page = report.html()
    check_self_contained(page)
    assert page.count("<figure>") == page.count("<figcaption>") == 1
    assert page.count("<svg") == 2
    assert re.findall(r"flex: ([\d.]+) 1 (\d+)px", page) == [("6.00", "288"), ("3.00", "144")]


def test_negative_numbers_have_a_minus_and_commands_a_hyphen() -> None:
    report = Report("minus")
    report.section("numbers")
    report.cards([Card("low-level", "-7.943 ± 0.029", "a Gaussian: -9.76, bins 3-4")])
    report.table(["cut", "value", "command"], [["-1", "-0.26 ± 0.26", "--cut -1"]], columns="hnc")
    page = report.html()
    for text in ("low-level", "−7.943 ± 0.029", "a Gaussian: −9.76, bins 3-4", ">-1<", "−0.26 ± 0.26", "--cut -1"):
        assert text in page


def test_a_table_of_many_columns_is_set_narrower() -> None:
    """Nine columns of numbers with errors else pass the edge of a page of 1,100 pixels."""
    report = Report("Tables")
    report.table([""] * 7, [["0.500 ± 0.002"] * 7])
    assert 'class="many"' not in report.html()
    report.table([""] * 9, [["0.500 ± 0.002"] * 9])
    assert report.html().count('<table class="many">') == 1
