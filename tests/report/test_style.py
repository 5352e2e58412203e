from __future__ import annotations

import re

import numpy as np
import pytest

from hepflows.report import style


@style.styled
def simple(text: str = "x") -> style.Figure:
    figure = style.new_figure(3.0, 2.0)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=style.literal(text), **style.sample_style(0))
    axes.imshow(np.eye(2), extent=(0, 1, 0, 1))
    axes.legend()
    axes.set_xlabel(text)
    return figure


def test_svg_holds_no_address_no_comment_and_no_fixed_size() -> None:
    svg = style.to_svg(simple("<script> -- &"), "a-")
    assert svg.startswith('<svg viewBox="0 0 216 144"')
    assert svg.endswith("</svg>")
    assert "http" not in svg
    assert "<!--" not in svg
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert "script" not in svg
    assert all(name.startswith("a-") for name in re.findall(r'id="([^"]*)"', svg))


def test_svg_colours_are_variables_with_the_colour_to_fall_back_on() -> None:
    svg = style.to_svg(simple())
    assert f"stroke: var(--plot-sample-0, {style.SAMPLES[0]})" in svg
    assert f"fill: var(--plot-ink, {style.INK})" in svg
    assert not re.search(rf": ({'|'.join(style.CSS_VARIABLES.values())})", svg)


def test_same_figure_same_bytes() -> None:
    assert style.to_png(simple()) == style.to_png(simple())
    assert style.to_svg(simple()) == style.to_svg(simple())


def test_png_has_the_size_asked_for() -> None:
    import io

    from PIL import Image

    with Image.open(io.BytesIO(style.to_png(simple(), dpi=100))) as image:
        assert image.size == (300, 200)


@pytest.mark.parametrize(
    "name", ["a$b", "$x$", "$\\frac$", "_private", "two\nlines", "x" * 99, "", "ümläut Ελληνικά", "漢字", "\x00\x1b"]
)
def test_any_name_can_stand_in_a_legend(name: str) -> None:
    texts = [text.get_text() for text in simple(style.literal(name)).axes[0].get_legend().get_texts()]
    assert len(texts) == 1
    assert all(len(text) <= 40 and "\n" not in text for text in texts)


def relative_luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", [*style.SAMPLES, style.INK, style.MUTED, style.REFERENCE_LINE])
def test_colours_stand_out_from_paper(colour: str) -> None:
    contrast = (relative_luminance(style.PAPER) + 0.05) / (relative_luminance(colour) + 0.05)
    assert contrast > 3.0  # what WCAG 2 asks of graphics


def seen_without(colour: str, cone: str) -> np.ndarray:
    """A colour as a dichromat sees it, linear RGB (Vienot, Brettel, Mollon 1999)."""
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]) ** 2.2
    rgb_to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    lms = rgb_to_lms @ channels
    if cone == "red":
        lms[0] = 2.02344 * lms[1] - 2.52581 * lms[2]
    else:
        lms[1] = 0.494207 * lms[0] + 1.24827 * lms[2]
    return np.linalg.solve(rgb_to_lms, lms)


@pytest.mark.parametrize("cone", ["red", "green"])
def test_samples_differ_for_the_colour_blind(cone: str) -> None:
    seen = [seen_without(colour, cone) for colour in (*style.SAMPLES[:3], style.REFERENCE_LINE)]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]]
    assert min(distances) > 0.1
    assert len({str(style.sample_style(index)["linestyle"]) for index in range(6)}) == 6


def test_thirty_six_samples_all_look_different() -> None:
    looks = [tuple(map(str, style.sample_style(index).values())) for index in range(36)]
    assert len(set(looks)) == 36
