"""What the steps over partitions map: the identity of each item. Light, so that a plan can count the new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mldlc.plan.codec import digest

TYPES, TYPES_FILE = "_mapped.<locals>.types_item", "types.json"  # function of the item, and what it writes
PART, PART_FILE = "_mapped.<locals>.part_item", "part.arrow"
Item = dict[str, str]
Find = Callable[[str, Item], Mapping[str, Path] | None]


def infers_types(source: Mapping[str, Any]) -> bool:
    """Whether the types of a source come from its first file."""
    return source["kind"] == "csv" and source.get("columns") is None


def types_of(file: str) -> Item:
    """The item that tells the types by a file. file: the digest of its bytes."""
    return {"digest": digest(["types", file])}


def part_of(file: str, types: Mapping[str, str] | None) -> Item:
    """The item that reads a file into a partition. types: column -> type, where another file tells them."""
    return {"digest": digest(["part", file, sorted(types.items()) if types is not None else None])}


def collected(params: Mapping[str, Any], files: Sequence[str], find: Find) -> list[tuple[str, Item]] | None:
    """For the plan: (function, item) of every partition; None where `collect` maps nothing or it cannot be told yet.

    files: digests in order. find: the files that an item gave, if it was worked on before.
    """
    if len(files) < 2:
        return None
    types: Mapping[str, str] | None = None
    if infers_types(params["source"]):
        found = find(TYPES, types_of(files[0]))
        if found is None:
            return [(PART, part_of(file, {"": ""})) for file in files]  # other types, other partitions
        import json

        types = json.loads(found[TYPES_FILE].read_bytes())["types"]
    return [(PART, part_of(file, types)) for file in files]
