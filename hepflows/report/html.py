"""A report as one HTML file: no network, no scripts, every text escaped; for a desk, a phone and a printer."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any, Literal

from hepflows.errors import ShapeError
from hepflows.io.atomic import replacing
from hepflows.report.nested import grouped_rows
from hepflows.report.numbers import with_minus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tone = Literal["", "note", "good", "warning", "bad"]
LARGEST_SVG = 400_000
"""A figure whose SVG has more characters than this is embedded as PNG."""
_MANY_COLUMNS = 7  # a table with more is set narrower, so that its last ones are seen


@dataclass(frozen=True)
class Card:
    """A key number: what it is, its value, a remark in small print, and how it is to be taken (a colour)."""

    label: str
    value: str
    remark: str = ""
    tone: Tone = ""


@dataclass(frozen=True)
class Picture:
    """A figure with its caption, and `alt`, a description for who cannot see it (the caption when empty).

    Several figures under one caption stand side by side, their widths in proportion, and one below the other on a
    narrow page.
    """

    figure: Figure | tuple[Figure, ...]
    caption: str = ""
    title: str = ""
    alt: str = ""
    form: Literal["auto", "svg", "png"] = "auto"


class Report:
    """A report that is written piece by piece, from the top, and then to one file.

    Every text is plain text and is escaped; figures become inline SVG, or PNG where that would be large.

    Args:
        title: heading of the page.
        subtitle: a sentence below it.
        footer: small print at the end.

    >>> report = Report("Showers")
    >>> report.section("Verdict")
    >>> report.paragraph("AUC < 0.6")
    >>> "AUC &lt; 0.6" in report.html()
    True
    """

    def __init__(self, title: str, *, subtitle: str = "", footer: str = "") -> None:
        self.title, self.subtitle, self.footer = title, subtitle, footer
        self._blocks: list[str] = []
        self._sections: dict[str, str] = {}
        self._figures = 0

    def section(self, title: str) -> None:
        """Begin a section; what follows belongs to it. Its title is listed at the head of the page."""
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
        name, count = slug, 2
        while name in self._sections:
            name, count = f"{slug}-{count}", count + 1
        close = "</section>\n" if self._sections else ""
        self._sections[name] = title
        self._blocks.append(f'{close}<section id="{name}">\n<h2>{escape(title)}</h2>')

    def heading(self, text: str) -> None:
        """Write a heading inside a section."""
        self._blocks.append(f"<h3>{escape(text)}</h3>")

    def paragraph(self, text: str, *, lead: bool = False) -> None:
        """Write a paragraph; a `lead` is set larger."""
        start = '<p class="lead">' if lead else "<p>"
        self._blocks.append(f"{start}{escape(text)}</p>")

    def notice(self, text: str, tone: Tone = "note", *, title: str = "") -> None:
        """Write a paragraph in a coloured box, with a few words in bold before it."""
        bold = f"<strong>{escape(title)}</strong> " if title else ""
        self._blocks.append(f'<p class="notice {tone}" role="note">{bold}{escape(text)}</p>')

    def code(self, text: str) -> None:
        """Write lines as they are, in a fixed-width type: a command, a configuration."""
        self._blocks.append(f"<pre><code>{escape(text)}</code></pre>")

    def cards(self, cards: Sequence[Card]) -> None:
        """Write key numbers side by side; without any, write nothing."""
        if cards:
            self._blocks.append('<dl class="cards">\n' + "\n".join(map(_card, cards)) + "\n</dl>")

    def table(
        self, header: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str = "", columns: str = ""
    ) -> None:
        """Write a table.

        Args:
            header: titles of the columns.
            rows: one text a column.
            caption: a sentence below it.
            columns: one letter a column: "h" heads the row, "t" text, "n" number (to the right), "c" code. By default
                the first heads its row and the others are numbers.

        Raises:
            ShapeError: a row has not one entry a column.
        """
        kinds = columns or "h" + "n" * (len(header) - 1)
        wrong = [row for row in rows if len(row) != len(header)]
        if wrong or len(kinds) != len(header):
            message = f"a table of {len(header)} columns needs as many entries in every row; got {wrong or kinds!r}"
            raise ShapeError(message)
        head = "".join(_cell("th", "n" if kind == "n" else "t", text) for kind, text in zip(kinds, header, strict=True))
        body = "\n".join(
            f"<tr>{''.join(_body_cell(*pair) for pair in zip(kinds, row, strict=True))}</tr>" for row in rows
        )
        title = f"<caption>{escape(caption)}</caption>" if caption else ""
        top = f"<thead><tr>{head}</tr></thead>\n" if any(header) else ""
        kind = ' class="many"' if len(header) > _MANY_COLUMNS else ""
        self._blocks.append(f'<div class="scroll"><table{kind}>{title}\n{top}<tbody>\n{body}\n</tbody></table></div>')

    def figures(self, pictures: Sequence[Picture], *, wide: bool = False) -> None:
        """Write figures, as many side by side as there is room for; `wide` ones take the whole width."""
        if pictures:
            body = "\n".join(map(self._figure, pictures))
            kind = "figures wide" if wide else "figures"
            self._blocks.append(f'<div class="{kind}">\n{body}\n</div>')

    @contextmanager
    def details(self, summary: str, *, opened: bool = False) -> Iterator[None]:
        """Put what is written inside the `with` block behind a line that opens on a click, without a script."""
        start = "<details open>" if opened else "<details>"
        self._blocks.append(f"{start}<summary>{escape(summary)}</summary>")
        yield
        self._blocks.append("</details>")

    def manifest(self, values: Mapping[str, Any]) -> None:
        """Write how a run was made, its ``command`` first, behind a line that opens on a click; nothing where there are no values."""
        if not values:
            return
        with self.details("Command, versions, seeds, checksums"):
            if "command" in values:
                self.code(str(values["command"]))
            for heading, rows in grouped_rows({key: one for key, one in values.items() if key != "command"}).items():
                if heading:
                    self.heading(heading)
                self.table(["", ""], rows, columns="hc")

    def html(self) -> str:
        """The whole page."""
        package = files("hepflows.report")
        links = "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title in self._sections.items())
        return Template(package.joinpath("template.html").read_text(encoding="utf-8")).substitute(
            title=escape(self.title),
            style=package.joinpath("style.css").read_text(encoding="utf-8"),
            subtitle=f'<p class="subtitle">{escape(self.subtitle)}</p>' if self.subtitle else "",
            navigation=f'<nav aria-label="sections">{links}</nav>' if len(self._sections) > 1 else "",
            body="\n".join(self._blocks) + ("\n</section>" if self._sections else ""),
            footer=escape(self.footer),
        )

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the page to `path`, complete or not at all.

        Raises:
            DataError: the file cannot be written.
        """
        text = self.html()
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _figure(self, picture: Picture) -> str:
        label = escape(picture.alt or picture.title or picture.caption or "figure")
        title = f"<b>{escape(picture.title)}</b> " if picture.title else ""
        caption = f"<figcaption>{title}{escape(picture.caption)}</figcaption>" if title or picture.caption else ""
        return f'<figure><div class="picture">{self._parts(picture, label)}</div>{caption}</figure>'

    def _parts(self, picture: Picture, label: str) -> str:
        parts: list[str] = []
        for figure in picture.figure if isinstance(picture.figure, tuple) else (picture.figure,):
            self._figures += 1
            width = figure.get_figwidth()
            drawing = _embed(figure, picture.form, label, f"f{self._figures}-")
            # part of the natural width is enough for a place in the row; what is left over is shared in proportion
            parts.append(f'<div style="flex: {width:.2f} 1 {48 * width:.0f}px">{drawing}</div>')
        return "".join(parts)


def _embed(figure: Figure, form: str, label: str, prefix: str) -> str:
    from hepflows.report.style import to_png, to_svg

    if form != "png":
        svg = to_svg(figure, prefix)
        if form == "svg" or len(svg) <= LARGEST_SVG:
            return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    data = base64.b64encode(to_png(figure)).decode("ascii")
    return f'<img alt="{label}" src="data:image/png;base64,{data}">'


def _card(card: Card) -> str:
    remark = f'<dd class="remark">{escape(with_minus(card.remark))}</dd>' if card.remark else ""
    head, value = f"<dt>{escape(card.label)}</dt>", f'<dd class="value">{escape(with_minus(card.value))}</dd>'
    return f'<div class="card {card.tone}">{head}{value}{remark}</div>'


def _body_cell(kind: str, text: str) -> str:
    return f'<th scope="row">{escape(text)}</th>' if kind == "h" else _cell("td", kind, text)


def _cell(tag: str, kind: str, text: str) -> str:
    style = {"n": "number", "c": "code"}.get(kind, "text")
    text = with_minus(text) if kind == "n" else text
    return f'<{tag} class="{style}">{escape(text)}</{tag}>'
