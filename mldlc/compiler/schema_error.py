"""What a schema finds wrong, as data: nothing here imports pydantic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SchemaError:
    """One violation, as data (a probe sends it over a pipe). path: from the group's root, "" for the group itself."""

    code: str
    path: str
    message: str
    found: str = ""
    allowed: tuple[str, ...] = ()
    hint: str = ""
