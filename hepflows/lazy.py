"""Public names that are imported on first use, so that a command line need not wait for torch."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def public_name(package: str, names: Mapping[str, str], name: str) -> Any:
    """What a package's ``__getattr__`` returns for ``name``.

    Args:
        package: its name, for the message.
        names: the module in which each public name stands.
        name: the name asked for.

    Raises:
        AttributeError: the name is not public.

    >>> public_name("hepflows", {"DataError": "hepflows.errors"}, "DataError").__name__
    'DataError'
    """
    if name in names:
        return getattr(importlib.import_module(names[name]), name)
    message = f"module {package!r} has no attribute {name!r}; the public names are {', '.join(sorted(names))}"
    raise AttributeError(message)
