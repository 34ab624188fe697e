"""From a step file to what the implementation is called with: validated config, typed readers, the function itself."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.load import typed
from mldlc.catalog import load_spec
from mldlc.engine.objects import ObjectPort
from mldlc.engine.step_file import BoundInput, BoundItem, StepFile
from mldlc.plan.codec import ordered
from mldlc.plan.context import StepError
from mldlc.plan.spec import StepSpec


@functools.cache
def _spec(kind: str) -> StepSpec:
    return load_spec(kind)


@functools.cache
def _adapters(kind: str) -> dict[str, Any]:
    reads = _spec(kind).reads
    if not reads:
        return {}
    from pydantic import TypeAdapter

    return {group: TypeAdapter(schema) for group, schema in reads.items()}


def config(file: StepFile, secrets: list[str]) -> SimpleNamespace:
    """`cfg`: one attribute a formal group, validated again; secrets are resolved and their texts added to `secrets`."""
    adapters = _adapters(file.kind)
    if not adapters:
        return SimpleNamespace()
    from pydantic import ValidationError

    from mldlc.engine.secrets import resolve

    groups = {}
    for group, adapter in adapters.items():
        if group not in file.params:
            raise StepError(f"the plan has no config for group {group!r} of {file.kind}", hint="plan again")
        try:
            value = adapter.validate_json(ordered(file.params[group]))
        except ValidationError as error:
            raise StepError(f"config group {group!r}: {error}", where=group, hint="plan again") from None
        groups[group] = resolve(value, secrets, group)
    return SimpleNamespace(**groups)


def readers(file: StepFile, port: ObjectPort, views: Path) -> dict[str, Any]:
    """`inputs`: a typed reader a port; None for an absent optional one; dict label -> reader for `many`."""

    def reader(item: BoundItem) -> Any:
        try:
            files = port.fetch(item.digest)
        except KeyError:
            message = f"an input of type {item.type} ({item.digest[:12]}) is no longer in the store"
            raise StepError(message, hint="plan again: it will be made anew") from None
        return typed(Artifact(item.type, item.digest, files, views))

    ready: dict[str, Any] = {}
    for name, declared in _spec(file.kind).inputs.items():
        bound = file.inputs.get(name, BoundInput(declared.arity))
        if bound.arity == "many":
            ready[name] = {item.label: reader(item) for item in bound.items}
        elif bound.items:
            ready[name] = reader(bound.items[0])
        elif bound.arity == "optional":
            ready[name] = None
        else:
            raise StepError(f"input {name!r} of {file.kind} is not bound", hint="plan again")
    return ready


def implementation(impl: str) -> Callable[..., None]:
    """Import `module:function`."""
    module, _, name = impl.partition(":")
    found: Callable[..., None] = getattr(importlib.import_module(module), name)
    return found
