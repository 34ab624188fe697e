"""Validates a value; pydantic's errors become data: key, what was found, what is allowed, the nearest name."""

from __future__ import annotations

import types
import typing
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from mldlc.compiler.schema_error import SchemaError
from mldlc.plan.diagnostic import did_you_mean, nearest

_adapters: dict[int, TypeAdapter[Any]] = {}


def adapter(schema: Any) -> TypeAdapter[Any]:
    """The cached pydantic adapter of a schema."""
    found = _adapters.get(id(schema))
    if found is None:
        found = _adapters[id(schema)] = TypeAdapter(schema)
    return found


def check(schema: Any, value: Any) -> tuple[Any, list[SchemaError]]:
    """Validate; gives (validated value or None, errors)."""
    try:
        return adapter(schema).validate_python(value), []
    except ValidationError as error:
        return None, [_convert(schema, value, item) for item in error.errors(include_url=False)]


def _convert(schema: Any, value: Any, item: Any) -> SchemaError:
    path, parent, parent_schema = _walk(schema, value, item["loc"])
    dotted, kind, ctx = ".".join(path), item["type"], item.get("ctx", {})
    name = path[-1] if path else ""
    found = item.get("input")
    if kind == "extra_forbidden":
        fields = sorted(fields_of(parent_schema, parent))
        return SchemaError(
            "unknown_key",
            dotted,
            f"unknown key '{name}'",
            found=name,
            allowed=tuple(fields),
            hint=did_you_mean(name, fields) or f"keys: {', '.join(fields)}",
        )
    if kind == "missing":
        return SchemaError("missing_value", dotted, f"missing required key '{name}'")
    if kind in ("literal_error", "enum", "union_tag_invalid"):
        if kind == "union_tag_invalid":
            allowed = tuple(tag.strip(" '") for tag in str(ctx.get("expected_tags", "")).split(","))
            found, dotted = ctx.get("tag"), ".".join([*path, str(ctx.get("discriminator", "kind")).strip("'")])
        else:
            allowed = tuple(part.strip(" '") for part in str(ctx.get("expected", "")).replace(" or ", ", ").split(","))
        close = nearest(str(found), allowed)
        return SchemaError(
            "bad_value",
            dotted,
            f"{found!r} is not one of {', '.join(allowed)}",
            found=str(found),
            allowed=allowed,
            hint=f"did you mean '{close}'?" if close else "",
        )
    if kind == "union_tag_not_found":
        return SchemaError("missing_value", ".".join([*path, "kind"]), "missing required key 'kind'")
    message = str(item["msg"]).removeprefix("Value error, ")
    if kind == "secret_value":  # what was found may be the secret: it is not repeated
        return SchemaError("secret_value", dotted, message)
    if kind == "model_type":
        keys = fields_of(child(parent_schema, parent, name) if path else schema, None)
        message = f"expected a mapping of {', '.join(keys)}"
    hint = ""
    if kind in ("float_type", "int_type") and isinstance(found, str):
        try:
            hint = f"YAML reads {found!r} as text; write {float(found)!r}"
        except ValueError:
            hint = ""
    text = message[0].lower() + message[1:]
    told = f"{text} (found {_short(found)})" if dotted else text  # a whole group is no help: the message names its keys
    return SchemaError("wrong_type", dotted, told, found=_short(found), hint=hint)


def _walk(schema: Any, value: Any, loc: tuple[Any, ...]) -> tuple[list[str], Any, Any]:
    """Real config path of an error location: pydantic puts union tags into it, which are no keys."""
    path: list[str] = []
    here, here_schema, parent, parent_schema = value, schema, value, schema
    for number, part in enumerate(loc):
        inside = (isinstance(here, dict) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        if not inside and number + 1 < len(loc):
            continue
        if not inside and part not in fields_of(here_schema, here):
            continue
        path.append(str(part))
        parent, parent_schema = here, here_schema
        here_schema = child(here_schema, here, part)
        here = here[part] if inside else None
    return path, parent, parent_schema


def member(schema: Any, value: Any) -> Any:
    """Resolve Annotated and unions to the member that `value` selects."""
    while typing.get_origin(schema) is typing.Annotated:
        schema = typing.get_args(schema)[0]
    if typing.get_origin(schema) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(schema) if a is not type(None)]
        models = [m for m in (member(a, value) for a in members) if isinstance(m, type) and issubclass(m, BaseModel)]
        tag = value.get("kind") if isinstance(value, dict) else None
        for model in models:
            field = model.model_fields.get("kind")
            if field is not None and tag in typing.get_args(field.annotation):
                return model
        return models[0] if models else members[0]
    return schema


def fields_of(schema: Any, value: Any) -> list[str]:
    """Keys that a schema allows for `value`; [] when it is no model."""
    model = member(schema, value)
    if isinstance(model, type) and issubclass(model, BaseModel):
        return [info.alias or name for name, info in model.model_fields.items()]
    return []


def child(schema: Any, value: Any, part: Any) -> Any:
    """The schema of a key or an index below `schema`."""
    model = member(schema, value)
    if isinstance(model, type) and issubclass(model, BaseModel):
        info = model.model_fields.get(str(part))
        return info.annotation if info is not None else Any
    args = typing.get_args(model)
    if typing.get_origin(model) is dict and len(args) == 2:
        return args[1]
    return args[0] if args else Any


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
