"""Canonical JSON, digests, and dataclass <-> JSON for everything the project writes down."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")
ALWAYS = ("format", "action", "status")  # written even at their default: readers branch on them


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8, no NaN. Equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """BLAKE2b-256 of the canonical JSON, hex: recipes, keys, plan ids. (Stored bytes are named by BLAKE3.)"""
    return hashlib.blake2b(canonical(value), digest_size=32).hexdigest()


def ordered(value: Any) -> bytes:
    """JSON text that keeps the order of keys: config mappings whose order means something (columns, split parts)."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def ordered_digest(value: Any) -> str:
    """As `digest`, but the order of keys counts: for config values. (A schema's fields have a fixed order.)"""
    return hashlib.blake2b(ordered(value), digest_size=32).hexdigest()


def encode(value: Any) -> Any:
    """A dataclass tree as plain JSON values; fields at their default are left out (but ALWAYS)."""
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if kind is dict or isinstance(value, Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if kind is tuple or isinstance(value, list | frozenset | tuple):
        return [encode(v) for v in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        out = {}
        for name, default, optional in _fields(type(value)):
            item = getattr(value, name)
            if (optional and not item) or (default is not dataclasses.MISSING and item == default):
                continue
            out[name] = encode(item)
        return out
    return value


@functools.cache
def _fields(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """(name, default that is left out, whether an empty value is left out) of a dataclass's fields."""
    return tuple(
        (
            f.name,
            dataclasses.MISSING if f.name in ALWAYS else f.default,
            f.default_factory is not dataclasses.MISSING,
        )
        for f in dataclasses.fields(kind)
    )


def decode(kind: type[T], data: Any) -> T:
    """The inverse of `encode`. Unknown keys are ignored, so that older code reads newer files of the same format."""
    return typing.cast(T, _decode(kind, data))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, data: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        return typing.cast(Any, kind)(
            **{f.name: _decode(hints[f.name], data[f.name]) for f in dataclasses.fields(kind) if f.name in data}
        )
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if data is None:
            return None
        return _decode(next(a for a in args if a is not type(None)), data)
    if origin is tuple:
        return tuple(_decode(args[0], v) for v in data)
    if origin is list:
        return [_decode(args[0], v) for v in data]
    if origin is dict or origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return {k: _decode(args[1], v) for k, v in data.items()}
    return data


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Nested dicts as dotted leaves; lists and empty dicts are leaves."""
    if isinstance(value, Mapping) and value:
        out: dict[str, Any] = {}
        for name, child in value.items():
            out.update(flatten(child, f"{path}.{name}" if path else str(name)))
        return out
    return {path: value}
