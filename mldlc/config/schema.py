"""The schema machinery: pydantic models whose fields carry a role that says whether a value is part of the identity.

    class Widget(Config):
        kind: Literal["widget"] = "widget"
        size: int = result(3, ge=1)             # hashed
        workers: int = runtime(0)               # recorded, not hashed
        gamma: float = result(0.0, neutral=0.0) # added later: left out of the hash at 0.0

Defaults stand in the YAML of `conf/`; a default here only serves a key that the YAML may leave out.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticUndefined

Role = Literal["result", "placement", "runtime", "meta", "location", "secret"]
_UNSET: Any = object()


class Config(BaseModel):
    """Base of every schema: unknown keys are errors, values are strict (no "3" for 3), instances are immutable."""

    # defer_build: a nested model is only built as part of the one that is validated, which halves a cold plan's schemas
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=(), defer_build=True)


def _role(role: Role, default: Any, neutral: Any, constraints: dict[str, Any]) -> Any:
    extra: dict[str, Any] = {"role": role}
    if neutral is not _UNSET:
        extra["neutral"] = neutral
    return Field(PydanticUndefined if default is ... else default, json_schema_extra=extra, **constraints)


def result(default: Any = ..., *, neutral: Any = _UNSET, **constraints: Any) -> Any:
    """A field that changes the result: hashed (the role of fields that declare none). `...` makes it required."""
    return _role("result", default, neutral, constraints)


def placement(default: Any = ..., *, neutral: Any = _UNSET, **constraints: Any) -> Any:
    """Where and how it runs (devices, ranks, offload): recorded; hashed only with `identity: exact`."""
    return _role("placement", default, neutral, constraints)


def runtime(default: Any = ..., **constraints: Any) -> Any:
    """Logging, progress, verbosity: never hashed."""
    return _role("runtime", default, _UNSET, constraints)


def meta(default: Any = ..., **constraints: Any) -> Any:
    """Text for people (titles, owners): shown in diffs, never hashed."""
    return _role("meta", default, _UNSET, constraints)


def location(default: Any = ..., **constraints: Any) -> Any:
    """A path or URI whose content is identified otherwise: not hashed, may use `oc.env`."""
    return _role("location", default, _UNSET, constraints)


def secret(default: Any = ..., **constraints: Any) -> Any:
    """A reference (`env:NAME`, `file:PATH`), resolved in the worker only and redacted everywhere."""
    return _role("secret", default, _UNSET, constraints)


class FieldRole(NamedTuple):
    """What a field declares: its role (`result` by default), its name in a hash, and the value left out of one."""

    role: Role
    hashed_as: str
    neutral: Any


@functools.cache
def roles_of(model: type[BaseModel]) -> dict[str, FieldRole]:
    """The fields of a schema by name, worked out once: a sweep asks for them at every point."""
    found = {}
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        role: Any = extra.get("role", "result")
        found[name] = FieldRole(role, info.alias or name, extra.get("neutral", _UNSET))
    return found


def hashed(value: Any, exact: bool = False) -> Any:
    """The part of a validated value that is its identity, as plain JSON values.

    Keeps `result` fields, drops fields at their `neutral` value; `placement` joins when the model, or one around it,
    says `identity: exact`.
    """
    if isinstance(value, BaseModel):
        exact = exact or getattr(value, "identity", None) == "exact"
        out = {}
        for name, (role, hashed_as, neutral) in roles_of(type(value)).items():
            if role == "result" or (role == "placement" and exact):
                item = getattr(value, name)
                if neutral is _UNSET or item != neutral:
                    out[hashed_as] = hashed(item, exact)
        return out
    if isinstance(value, dict):
        return {str(k): hashed(v, exact) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [hashed(v, exact) for v in value]
    return value
