"""One look for every figure: colours, fonts, and how a figure becomes bytes.

Figures are made with matplotlib's object interface, so nothing is registered in pyplot and nothing has to be closed.
Colours follow Okabe and Ito (safe for colour-blind readers) and differ in lightness and dash pattern as well, so that
print without colour still tells the samples apart.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
import mplhep  # noqa: F401 - registers the TeX Gyre Heros font
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

P = ParamSpec("P")

INK = "#1c2128"
MUTED = "#5b6470"
GRID = "#dfe3e8"
PAPER = "#fefefe"
REFERENCE_LINE = "#4a525c"
REFERENCE_FILL = "#ccd2d9"
REFERENCE_BAND = "#d3d9e0"
SAMPLES = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#857400", "#332288")
MARKERS = ("o", "s", "D", "^", "P", "X")
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (9, 2)),
    (0, (4, 1, 1, 1, 1, 1)),
)
SEQUENTIAL = "inferno"
DIVERGING = "RdBu_r"

# names that a style sheet may redefine, for example in dark mode, because the SVG refers to them
CSS_VARIABLES: dict[str, str] = {
    "--plot-ink": INK,
    "--plot-muted": MUTED,
    "--plot-grid": GRID,
    "--plot-paper": PAPER,
    "--plot-reference": REFERENCE_LINE,
    "--plot-reference-fill": REFERENCE_FILL,
    "--plot-reference-band": REFERENCE_BAND,
    **{f"--plot-sample-{number}": colour for number, colour in enumerate(SAMPLES)},
}

RC: dict[Any, Any] = {
    "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
    "mathtext.fontset": "custom",
    "mathtext.rm": "TeX Gyre Heros",
    "mathtext.it": "TeX Gyre Heros:italic",
    "mathtext.bf": "TeX Gyre Heros:bold",
    "mathtext.cal": "TeX Gyre Heros:italic",
    "mathtext.fallback": "stixsans",
    "font.size": 11.0,
    "axes.labelsize": 12.0,
    "axes.titlesize": 12.0,
    "legend.fontsize": 10.5,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "text.usetex": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "savefig.facecolor": "auto",
    "axes.linewidth": 0.9,
    "axes.grid": False,
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "axes.formatter.use_mathtext": False,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.major.size": 5.0,
    "ytick.major.size": 5.0,
    "xtick.minor.size": 2.5,
    "ytick.minor.size": 2.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.7,
    "svg.fonttype": "path",
    "svg.hashsalt": "hepflows",
    "image.composite_image": False,
    "path.simplify": True,
}

_SVG_LINKED = re.compile(r'(?:\bid="|href="#|url\(#)')
_SVG_START = re.compile(r"<svg\b.*", re.DOTALL)
_SVG_NOISE = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>|<defs>\s*</defs>", re.DOTALL)
_SVG_NAMESPACES = re.compile(r'\s+(?:xmlns(?::\w+)?|version)="[^"]*"')
_SVG_GROUP = re.compile(r'<g id="[^"]*">')
_SVG_DECIMALS = re.compile(r"(\d\.\d{3})\d+")
_SVG_SPACE = re.compile(r"\s*\n\s*")
_SVG_SIZE = re.compile(r'\s+(?:width|height)="[\d.]+pt"')


@contextmanager
def applied(*, fresh: bool = False) -> Iterator[None]:
    """Apply the style inside a `with` block: over matplotlib's defaults when `fresh`, else over what is set."""
    with mpl.rc_context(), warnings.catch_warnings():
        # a letter that no font at hand has, in the name of a sample, is drawn as a box: no reason to alarm anybody
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        if fresh:
            mpl.rcParams.update(mpl.rcParamsDefault)
        mpl.rcParams.update(RC)
        yield


def lay_out(figure: Figure) -> None:
    """Find the places of axes and labels; ticks come into being, and take their style, here."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)


def styled(make: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a function that makes a figure in the style of this module, leaving matplotlib's settings as they were."""

    @functools.wraps(make)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with applied(fresh=True):
            figure = make(*args, **kwargs)
            lay_out(figure)
            figure.set_layout_engine("none")  # for good: rendering need not do it again
            return figure

    return wrapper


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of `width` by `height` inches, drawn by Agg, with a layout that clips nothing."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def literal(name: str, length: int = 32) -> str:
    r"""Make a name safe for a legend: no mathematics, no line break, no leading underscore, at most `length` letters.

    >>> print(literal("cost in $\nand $"))
    cost in \$ and \$
    """
    text = "".join(letter if letter.isprintable() else " " for letter in name)
    text = " ".join(text.split()) or "unnamed"
    text = text if len(text) <= length else text[: length - 1] + "…"
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def sample_style(index: int) -> dict[str, Any]:
    """Colour and dash pattern of the generated sample number `index` (0, 1, ...): six colours, which come again with other dashes."""
    turn = index // len(SAMPLES)
    return {"color": SAMPLES[index % len(SAMPLES)], "linestyle": DASHES[(index + turn) % len(DASHES)]}


def legend_columns(texts: Sequence[str], letters: int = 40) -> int:
    """In how many columns entries fit beside each other: all of them, or a few.

    >>> legend_columns(["Geant4", "flow"]), legend_columns(["Geant4", "one flow", "a student of it"]), legend_columns(["a" * 30, "b"])
    (2, 2, 1)
    """
    if sum(len(text) + 5 for text in texts) <= letters:
        return len(texts)
    longest = max(map(len, texts), default=0) + 5
    return next((columns for columns in (3, 2) if columns < len(texts) and columns * longest <= letters + 6), 1)


def legend_room(texts: Sequence[str], letters: int = 40) -> float:
    """Inches by which a figure must grow for the lines of a legend after the first, so that the axes keep their size."""
    return 0.2 * (-(-len(texts) // legend_columns(texts, letters)) - 1)


def legend_above(axes: Axes, letters: int = 40) -> None:
    """Put the legend above the axes, where it can cover no data, in columns of which `letters` fit in a line."""
    columns = legend_columns(axes.get_legend_handles_labels()[1], letters)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, borderaxespad=0.2, columnspacing=1.2)


def to_png(figure: Figure, dpi: int = 144) -> bytes:
    """Render a figure as PNG bytes, the same bytes for the same figure."""
    stream = io.BytesIO()
    with applied():
        figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


def to_svg(figure: Figure, prefix: str = "") -> str:
    """Render a figure as an `<svg>` element to be placed inside HTML.

    Text becomes outlines, so that no font is needed; images become embedded PNG; namespaces, comments and metadata go
    (HTML needs none of them), and the colours of this module become CSS variables with the colour as the fall-back, so
    that a page can show the same figure in dark mode. `prefix` is put before every id: two figures on one page must
    not share any.
    """
    stream = io.StringIO()
    with applied():
        figure.savefig(stream, format="svg", transparent=True, dpi=144, metadata={"Date": None, "Creator": None})
    match = _SVG_START.search(stream.getvalue())
    text = match.group(0) if match else ""
    head, rest = text.split(">", 1)
    head = _SVG_SIZE.sub("", _SVG_NAMESPACES.sub("", head))
    rest = _SVG_NOISE.sub("", rest).replace("xlink:href", "href")
    rest = _SVG_SPACE.sub(" ", _SVG_DECIMALS.sub(r"\1", _SVG_GROUP.sub("<g>", rest))).replace("> <", "><")
    if prefix:
        rest = _SVG_LINKED.sub(lambda found: found.group(0) + prefix, rest)
    for name, colour in CSS_VARIABLES.items():
        rest = rest.replace(f": {colour}", f": var({name}, {colour})")
    # matplotlib sets these two by a style sheet, which inside HTML would reach the whole page
    return f'{head} style="stroke-linejoin: round; stroke-linecap: butt">{rest}'.strip()
