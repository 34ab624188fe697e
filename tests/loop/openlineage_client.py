"""Reads an event into the classes that the OpenLineage project generates from its published schema, and writes it again."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import types
import typing
from enum import Enum
from functools import cache
from typing import Any

import attr
from openlineage.client import generated
from openlineage.client.event_v2 import RunEvent
from openlineage.client.generated.base import BaseFacet
from openlineage.client.serde import Serde

NAMELESS = ("_producer", "_schemaURL")


@cache
def published_facets() -> dict[str, type]:
    """Address of its schema -> class, of every facet of the installed release."""
    modules = [
        importlib.import_module(f"{generated.__name__}.{m.name}") for m in pkgutil.iter_modules(generated.__path__)
    ]
    classes = {kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass)}
    return {kind._get_schema(): kind for kind in classes if issubclass(kind, BaseFacet)}


def round_trip(event: dict[str, Any]) -> dict[str, Any]:
    """The event as the published classes tell it. TypeError or ValueError: a field, a type or a facet that they lack."""
    return dict(json.loads(Serde.to_json(_read(RunEvent, event))))


def _read(kind: Any, value: Any) -> Any:
    """A value as its annotation wants it."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        wanted = [item for item in arguments if item is not type(None)]
        assert len(wanted) == 1, f"{kind}: a choice that this reader does not know"
        return None if value is None else _read(wanted[0], value)
    if origin is list:
        return [_read(arguments[0], item) for item in _of(list, value)]
    if origin is dict:
        return {_of(str, name): _read(arguments[1], item) for name, item in _of(dict, value).items()}
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return kind(value)
    if attr.has(kind):
        return _facet(value) if issubclass(kind, BaseFacet) else _object(kind, _of(dict, value))
    return _of(kind, value)


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _facet(value: dict[str, Any]) -> Any:
    """By the class of the very schema that the facet says it follows."""
    kind = published_facets().get(value["_schemaURL"])
    if kind is None:
        raise ValueError(f"no facet of the installed release has the schema {value['_schemaURL']}")
    made = _object(kind, {name: item for name, item in value.items() if name not in NAMELESS})
    made._producer = value["_producer"]
    return made


def _object(kind: type, value: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    given = {name: item for name, item in value.items() if name != "schemaURL"}
    if unknown := given.keys() - hints.keys():
        raise TypeError(f"{kind.__name__} has no {', '.join(sorted(unknown))}")
    made = kind(**{name: _read(hints[name], item) for name, item in given.items()})
    if "schemaURL" in value and made.schemaURL != value["schemaURL"]:  # type: ignore[attr-defined]
        raise ValueError(f"{value['schemaURL']} is not {made.schemaURL}")  # type: ignore[attr-defined]
    return made
