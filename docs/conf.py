"""Sphinx configuration: ``python -m sphinx -W --keep-going -b html docs docs/_build/html``.

The site needs no network, neither to build nor to read: MathJax comes from the package sphinx-mathjax-offline and is
copied into the site, no other site's index is fetched, and fonts are the reader's own. Notebooks are executed at
every build of their page; HEPFLOWS_DOCS_EXECUTION=cache spares that while one writes.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import hepflows

project = "hepflows"
author = "The hepflows developers"
copyright = "The hepflows developers, BSD-3-Clause"
release = version = hepflows.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "myst_nb",
]
exclude_patterns = ["_build", "examples", "figures", "**.ipynb_checkpoints", "**/jupyter_execute"]
default_role = "py:obj"  # docstrings name other objects in single backticks
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"hepflows {version}"
html_static_path = ["_static"]
html_css_files = ["hepflows.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

autosummary_generate = False  # the tables stand above the entries of the same page
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # torch's own "define the computation performed at every call" says nothing
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_type_aliases = {"Array": "ndarray", "Index": "ndarray", "Pathlike": "Pathlike", "Progress": "Progress"}
autodoc_default_options = {"exclude-members": "extra_repr, model_config"}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

myst_enable_extensions = ["amsmath", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

nb_execution_mode = os.environ.get("HEPFLOWS_DOCS_EXECUTION", "force")
nb_execution_timeout = 300  # seconds a cell; the whole tutorial takes about one minute on two cores
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

# the notebooks call the command line that belongs to the Python which builds them
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ |= {"COLUMNS": "100", "TTY_COMPATIBLE": "0"}  # rich then writes as to a file: plain lines, no bars
# one thread: two that wait for each other are many times slower where other work runs on the same cores
os.environ.setdefault("OMP_NUM_THREADS", "1")


def _as_restructured_text(app: object, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text first: keep reStructuredText and napoleon from seeing markup where none is meant."""
    if what in ("attribute", "property") and lines:
        lines[0] = lines[0].replace(": ", " – ", 1)  # napoleon takes what stands before a colon for a type
    for number, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        parts[::2] = [re.sub(r"(?<=[ (])\*(?=\w+[),])", r"\\*", text) for text in parts[::2]]  # (rows, *shape)
        parts[::2] = [text.replace("|det J|", r"\|det J\|") for text in parts[::2]]
        parts[1::2] = [text.replace(" .. ", " … ") for text in parts[1::2]]  # autosummary ends a sentence at ". "
        lines[number] = "".join(parts)


# what Sphinx makes of aliases and of a default that is an object, and what the source says
SIGNATURES = (
    (r"TypeAliasForwardRef\('(\w+)'\)", r"\1"),
    (r"type\[[~\w.]*Any\] \| .*?_DTypeDict \| str", "DTypeLike"),
    (r"Geometry\(name='CaloGAN'.*?\)\)\)\)", "CALOGAN"),
    (r"[~\w.]*Annotated\[([^\[\]]+?)(?:, [~\w.]+\([^()]*\))+\]", r"\1"),
    (r"<class 'numpy\.(\w+)'>", r"np.\1"),
    (r"<factory>", "..."),
)


def _as_in_the_source(
    app: object, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    for pattern, text in SIGNATURES:
        signature, returns = (part and re.sub(pattern, text, part) for part in (signature, returns))
    return signature, returns


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=400)
    app.connect("autodoc-process-signature", _as_in_the_source)
