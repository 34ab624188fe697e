"""Canonical JSON, digests, and dataclass <-> JSON for everything the project writes down."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
ALWAYS = ("format", "action", "status")  # written even at their default: readers branch on them
PLAIN = frozenset({str, int, float, bool, type(None)})
# Made once: json.dumps with options makes an encoder a call, and a large plan has 80,000 of them.
_sorted = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_unsorted = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8, no NaN. Equal values give equal bytes."""
    return _sorted(value).encode()


def digest(value: Any) -> str:
    """BLAKE2b-256 of the canonical JSON, hex: recipes, keys, plan ids. (Stored bytes are named by BLAKE3.)"""
    return hashlib.blake2b(canonical(value), digest_size=32).hexdigest()


def ordered(value: Any) -> bytes:
    """JSON text that keeps the order of keys: config mappings whose order means something (columns, split parts)."""
    return _unsorted(value).encode()


def ordered_digest(value: Any) -> str:
    """As `digest`, but the order of keys counts: for config values. (A schema's fields have a fixed order.)"""
    return hashlib.blake2b(ordered(value), digest_size=32).hexdigest()


def encode(value: Any) -> Any:
    """A dataclass tree as plain JSON values; fields at their default are left out (but ALWAYS)."""
    return _encoder(typing.cast(Any, type(value)))(value)


@functools.cache
def _encoder(kind: type) -> Callable[[Any], Any]:
    """The function that writes a type, chosen once a type: a large plan has 200,000 values."""
    if kind in PLAIN:
        return _same
    if issubclass(kind, Mapping):
        return lambda value: {str(k): v if type(v) in PLAIN else encode(v) for k, v in value.items()}
    if issubclass(kind, list | frozenset | tuple):
        return lambda value: [v if type(v) in PLAIN else encode(v) for v in value]
    return _dataclass_encoder(kind) if dataclasses.is_dataclass(kind) else _same


def _dataclass_encoder(kind: type) -> Callable[[Any], dict[str, Any]]:
    fields = _fields(kind)

    def encoded(value: Any) -> dict[str, Any]:
        out = {}
        for name, default, optional in fields:
            item = getattr(value, name)
            if (optional and not item) or (default is not dataclasses.MISSING and item == default):
                continue
            out[name] = item if type(item) in PLAIN else encode(item)
        return out

    return encoded


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
    return typing.cast(T, _decoder(typing.cast(Any, kind))(data))


def _same(data: Any) -> Any:
    return data


@functools.cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    """The function that reads a type from JSON values, made once a type: a store has thousands of records."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_decoder(typing.cast(type, kind))
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        inner = _decoder(next(a for a in args if a is not type(None)))
        return inner if inner is _same else lambda data: None if data is None else inner(data)
    if origin is tuple or origin is list:
        item = _decoder(args[0])
        made = typing.cast(type, origin)
        return made if item is _same else lambda data: made(map(item, data))
    if origin is dict or origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        value = _decoder(args[1])
        return dict if value is _same else lambda data: {k: value(v) for k, v in data.items()}
    return _same


def _dataclass_decoder(kind: type) -> Callable[[Any], Any]:
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    fields: list[tuple[str, Callable[[Any], Any]]] = []

    def decoded(data: Any) -> Any:
        if not fields:  # on first use, as a type may contain itself
            fields.extend((name, _decoder(hints[name])) for name in names)
        return kind(**{name: read(data[name]) for name, read in fields if name in data})

    return decoded


def flatten(value: Any, path: str = "") -> dict[str, Any]:
    """Nested dicts as dotted leaves; lists and empty dicts are leaves."""
    if isinstance(value, Mapping) and value:
        out: dict[str, Any] = {}
        for name, child in value.items():
            out.update(flatten(child, f"{path}.{name}" if path else str(name)))
        return out
    return {path: value}
