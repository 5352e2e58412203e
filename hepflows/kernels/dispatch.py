"""Which kernels are in use: compiled for an instruction set of the processor, or the pure-torch reference.

``HEPFLOWS_KERNELS`` set to ``reference`` (or ``baseline``, ``avx2``, ``avx512``) chooses by hand.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_VARIABLE = "HEPFLOWS_KERNELS"


def _load() -> ModuleType | None:
    try:
        from hepflows.kernels import _native
    except ImportError:
        return None
    return _native


compiled = _load()
"""The compiled module, or None where the package was installed without a C++ compiler."""

_in_use = "reference"


def available() -> list[str]:
    """The kernels that this processor can run, fastest first; ``reference`` is pure torch."""
    return [*(compiled.available() if compiled is not None else []), "reference"]


def in_use() -> str:
    """The kernels that are used: ``avx512``, ``avx2``, ``baseline`` or ``reference``."""
    return _in_use


def use(name: str) -> None:
    """Choose the kernels by name.

    Raises:
        ValueError: there are none of that name, or not on this processor.
    """
    global _in_use
    if name not in available():
        message = f"kernels {name!r} are not available here: choose from {', '.join(available())}"
        raise ValueError(message)
    if compiled is not None and name != "reference":
        compiled.use(name)
    _in_use = name


@contextmanager
def using(name: str) -> Iterator[None]:
    """Choose the kernels for a while.

    >>> with using("reference"):
    ...     in_use()
    'reference'
    """
    before = in_use()
    use(name)
    try:
        yield
    finally:
        use(before)


def threaded() -> bool:
    """Whether the kernels share the threads of torch; where they do not, they run on one."""
    return compiled is not None and bool(compiled.threaded())


def describe() -> list[str]:
    """What `hepflows info` says about the kernels, a sentence a line."""
    lines = [f"kernels: {in_use()} (available: {', '.join(available())})"]
    if compiled is None:
        lines.append("no compiled kernels: reinstall hepflows where a C++ compiler is found (CXX) to have them")
    elif in_use() == "reference":
        lines.append(f"the reference was chosen by {_VARIABLE}: unset it to have the compiled kernels")
    elif threaded():
        lines[0] += ", on the threads of torch's OpenMP"
    else:
        lines[0] += ", on one thread: torch has loaded no OpenMP of the GNU kind whose threads they could share"
    return lines


def _choose() -> None:
    wanted = os.environ.get(_VARIABLE) or available()[0]
    if wanted not in available():
        message = f"{_VARIABLE}={wanted} is not available here and {available()[0]} is used: choose from {', '.join(available())}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        wanted = available()[0]
    use(wanted)


_choose()
