"""The JSON Schema of `mldlc.plan/1`, from the dataclasses: `python -m mldlc.plan.json_schema > plan.schema.json`."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

from mldlc.plan.plan import FORMAT, Plan


def plan_schema() -> dict[str, Any]:
    """The schema document (draft 2020-12). Fields at their default may be absent; unknown fields are allowed."""
    definitions: dict[str, Any] = {}
    root = _schema(Plan, definitions)
    definitions["Plan"]["properties"]["format"] = {"const": FORMAT}
    definitions["Plan"]["required"] = sorted({*definitions["Plan"]["required"], "format"})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": FORMAT, **root, "$defs": definitions}


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if dataclasses.is_dataclass(kind):
        name = typing.cast(type, kind).__name__
        if name not in definitions:
            definitions[name] = {}
            definitions[name] = _object(typing.cast(type, kind), definitions)
        return {"$ref": f"#/$defs/{name}"}
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_schema(arg, definitions) for arg in args]}
    if origin in (tuple, list):
        return {"type": "array", "items": _schema(args[0], definitions)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _schema(args[1], definitions)}
    plain = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}.get(kind)
    return {"type": plain} if plain else {}


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    needed = [f.name for f in fields if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]
    text = (kind.__doc__ or "").split("\n\n")[0].strip()
    properties = {f.name: _schema(hints[f.name], definitions) for f in fields}
    return {"type": "object", "description": text, "properties": properties, "required": needed}


if __name__ == "__main__":
    print(json.dumps(plan_schema(), indent=2))
