"""Which keys a composed config has, and which values the schemas of its kinds name: for tab completion."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from mldlc import catalog
from mldlc.compiler import groups as own_groups
from mldlc.compiler.validate import child, member
from mldlc.config.project import Project
from mldlc.config.tree import Ledger
from mldlc.plan.diagnostic import DiagnosticError

_TYPED = re.compile(r"[\w./+-]+")  # a value that can be typed as it stands


def composed(
    project: Project, config_name: str, config_dir: str | None, choices: tuple[str, ...], ledger: Ledger
) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The config, interpolations as written, and the environment variables it depends on.

    Choices that do not compose are left out; a config that does not compose at all is {}.
    """
    from mldlc.config import seam

    seam.env_reads.clear()
    for lines in dict.fromkeys((choices, ())):
        try:
            composer = seam.Composer(project, config_name, config_dir, ledger)
            return seam.plain(composer.load(lines)), dict(seam.env_reads)
        except (DiagnosticError, *seam.Failure):
            continue
    return {}, dict(seam.env_reads)


def words_of(config: dict[str, Any]) -> dict[str, Any]:
    """What `Vocabulary.keys` gives."""
    values = {".".join(path): _text(value) for path, value in _leaves(config, ())}
    found = _Schemas()
    for name, value in config.items():
        found.walk(_schema_of(name), value, (name,))
    stages = config.get("lifecycle", {}).get("stages", {}) if isinstance(config.get("lifecycle"), dict) else {}
    kinds = {name: str(stage.get("kind", "")) for name, stage in stages.items() if isinstance(stage, dict)}
    return {"values": values, "allowed": found.allowed, "new": found.new, "paths": found.files, "stages": kinds}


def _leaves(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(node, dict) and (node or not path):
        for key, value in node.items():
            yield from _leaves(value, (*path, str(key)))
    else:
        yield path, node


def _text(value: Any) -> str | None:
    """A value as it is typed, None where it would need quotes or is more than one word."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, str | int | float) and _TYPED.fullmatch(str(value)) else None


def _schema_of(group: str) -> Any:
    """The schema of a config group, None when no shipped kind reads it."""
    if group in own_groups.GROUPS:
        return own_groups.GROUPS[group]
    owner = catalog.OWNERS.get(group)
    return catalog.load_spec(owner).reads[group] if owner else None


class _Schemas:
    """What the schemas say of a config: allowed values, keys that are not there, keys that name files."""

    def __init__(self) -> None:
        self.allowed: dict[str, list[str]] = {}
        self.new: list[str] = []
        self.files: list[str] = []

    def walk(self, schema: Any, value: Any, path: tuple[str, ...]) -> None:
        """Look at a value and everything below it."""
        model = member(schema, value)
        if isinstance(model, type) and issubclass(model, BaseModel) and isinstance(value, dict):
            for field, info in model.model_fields.items():
                name = info.alias or field
                inner = (*path, name)
                extra = info.json_schema_extra
                if isinstance(extra, dict) and extra.get("role") == "location":
                    self.files.append(".".join(inner))
                if name not in value:
                    self.new.append(".".join(inner))
                self.walk(info.annotation, value.get(name), inner)
        elif isinstance(value, dict):
            for key, item in value.items():
                self.walk(child(schema, value, key), item, (*path, str(key)))
        elif found := list(dict.fromkeys(_allowed(schema))):
            self.allowed[".".join(path)] = found


def _allowed(schema: Any) -> Iterator[str]:
    """The values that an annotation names, as they are typed."""
    origin = typing.get_origin(schema)
    if origin is typing.Annotated:
        yield from _allowed(typing.get_args(schema)[0])
    elif origin is typing.Literal:
        yield from (text for value in typing.get_args(schema) if (text := _text(value)))
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(schema):
            yield from ["null"] if part is type(None) else _allowed(part)
    elif schema is bool:
        yield from ("true", "false")
