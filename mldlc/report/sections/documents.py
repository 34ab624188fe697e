"""The JSON documents inside artifacts, read so that an older or a shorter one never breaks the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mldlc.artifacts.handle import Artifact

PARTS = ("train", "val", "test")


def document(artifact: Artifact | None, name: str) -> dict[str, Any]:
    """The JSON object `name` of an artifact, else its only other .json file; {} when there is none."""
    if artifact is None:
        return {}
    if name not in artifact.files:
        others = sorted(file for file in artifact.files if file.endswith(".json") and "/" not in file)
        if len(others) != 1:
            return {}
        name = others[0]
    found = artifact.json(name)
    return found if isinstance(found, dict) else {"items": found}


def section(value: Any, key: str) -> dict[str, Any]:
    """The object under a key, or {}."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def rows(value: Any, key: str) -> list[dict[str, Any]]:
    """The list of objects under a key, or []."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return [dict(item) for item in found if isinstance(item, Mapping)] if isinstance(found, list | tuple) else []


def is_number(value: Any) -> bool:
    """A finite int or float (and not a bool)."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) != float("inf")
    )


def part_color(name: str) -> int:
    """The colour of a part of the split: train, val and test have their own everywhere on the page."""
    return PARTS.index(name) if name in PARTS else 3


def in_order(names: Sequence[str]) -> list[str]:
    """Parts in the order train, val, test, then the others as they come."""
    return [n for n in PARTS if n in names] + [n for n in names if n not in PARTS]


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of a tree as (dotted path, value); lists of plain values are leaves."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for i, item in enumerate(value):
            yield from flat(item, f"{path}[{i}]")
    else:
        yield path, value
