"""Nested mappings (a manifest, a configuration) as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def grouped_rows(values: Mapping[str, Any], prefix: str = "") -> dict[str, list[list[str]]]:
    """Turn nested mappings into tables of rows [name, text], by heading.

    Single values come under the empty heading, a mapping of single values under its own name; a mapping that holds
    further ones is opened once, so that each of these has its own heading. What lies deeper becomes dotted names.

    >>> grouped_rows({"seed": 1, "versions": {"torch": "2.13"}})
    {'': [['seed', '1']], 'versions': [['torch', '2.13']]}
    """
    groups: dict[str, list[list[str]]] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if not _is_nested(value):
            groups.setdefault("", []).append([name, _text(value)])
        elif isinstance(value, Mapping) and not prefix and any(map(_is_nested, value.values())):
            for heading, rows in grouped_rows(value, f"{name}.").items():
                groups.setdefault(heading, []).extend(rows)
        else:
            groups[name] = [[row, text] for row, text in _flat(value, "")]
    return {heading: rows for heading, rows in groups.items() if rows}


def _is_nested(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, (Mapping, list, tuple)) for item in value)
    return isinstance(value, Mapping)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if not _is_nested(value):
        yield name, _text(value)
        return
    items = value.items() if isinstance(value, Mapping) else enumerate(value, start=1)
    for key, item in items:
        yield from _flat(item, f"{name}.{key}" if name else str(key))
