"""What an integrand returns: a number, a vector, a dictionary, real or complex, as real columns and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hepflows.applications.integration.integrand import Array
from hepflows.errors import IntegrandError


@dataclass(frozen=True)
class _Entry:
    key: str | None
    shape: tuple[int, ...]
    is_complex: bool

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int)) * (2 if self.is_complex else 1)


@dataclass(frozen=True)
class Outputs:
    """The outputs of an integrand, each with its shape.

    >>> outputs = Outputs.of({"total": np.ones(4), "parts": np.ones((4, 2))}, 4)
    >>> outputs.size, outputs.restore(np.array([1.0, 2.0, 3.0]))
    (3, {'total': 1.0, 'parts': array([2., 3.])})
    """

    entries: tuple[_Entry, ...]

    @classmethod
    def of(cls, value: Any, n: int) -> Outputs:
        """From what the integrand returned for ``n`` points.

        Raises:
            IntegrandError: it is no number for each point.
        """
        entries = []
        for key, item in _items(value):
            array = _array(item)
            if array.ndim < 1 or len(array) != n:
                message = f"it returned the shape {array.shape} for {n} points"
                raise IntegrandError(message)
            entries.append(_Entry(key, array.shape[1:], np.iscomplexobj(array)))
        return cls(tuple(entries))

    @property
    def size(self) -> int:
        """Number of real columns."""
        return sum(entry.size for entry in self.entries)

    def flatten(self, value: Any, n: int) -> Array:
        """What the integrand returned for ``n`` points as real columns ``(n, k)``."""
        items = dict(_items(value))
        columns = []
        for entry in self.entries:
            array = _array(items[entry.key]).reshape(n, -1)
            if entry.is_complex:
                array = np.stack([array.real, array.imag], -1).reshape(n, -1)
            elif np.iscomplexobj(array):
                message = "it returned complex numbers after real ones: return complex numbers always"
                raise IntegrandError(message)
            columns.append(array)
        return np.concatenate(columns, 1).astype(np.float64, copy=False)

    def leading(self, columns: Array) -> Array:
        """The absolute value of the first output, ``(n,)``."""
        if self.entries[0].is_complex:
            return np.asarray(np.hypot(columns[:, 0], columns[:, 1]))
        return np.asarray(np.abs(columns[:, 0]))

    def restore(self, columns: Array) -> Any:
        """Real columns ``(k,)`` in the form that the integrand has."""
        values: dict[str | None, Any] = {}
        start = 0
        for entry in self.entries:
            part = columns[start : start + entry.size]
            start += entry.size
            if entry.is_complex:
                part = part[0::2] + 1j * part[1::2]
            values[entry.key] = part.reshape(entry.shape) if entry.shape else _scalar(part[0])
        return values.get(None, values)


def _items(value: Any) -> list[tuple[str | None, Any]]:
    if isinstance(value, list) and value and isinstance(value[0], Mapping):  # of one point at a time
        return [(str(key), [point[key] for point in value]) for key in value[0]]
    if isinstance(value, Mapping):
        return [(str(key), item) for key, item in value.items()]
    return [(None, value)]


def _array(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
        value = torch.stack(value)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        message = f"it returned {array.dtype} instead of numbers"
        raise IntegrandError(message)
    return array


def _scalar(value: Any) -> Any:
    """A plain number instead of one of numpy's; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value
