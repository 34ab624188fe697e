"""Names that users bring from other tools get the translation as their hint, whichever pass refuses them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import replace

from mldlc import catalog
from mldlc.plan.diagnostic import Diagnostic


def translated(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The same diagnostics; an unknown key or a value that is refused says where the thing is instead."""
    return [_translated(item) for item in diagnostics]


def _translated(item: Diagnostic) -> Diagnostic:
    if item.code == "unknown_key" and item.key.endswith("._target_"):
        return replace(item, hint=_own_code(item))
    group, _, name = item.key.partition(".")
    place = catalog.FOREIGN.get(group)
    if place is None or item.code not in ("unknown_key", "bad_value", "wrong_type"):
        return item
    if item.code != "unknown_key" and item.hint:
        return item
    module, _, table = place.partition(":")
    hint = getattr(importlib.import_module(module), table).get(name)
    return replace(item, hint=hint) if hint else item


def _own_code(item: Diagnostic) -> str:
    """How a group is given code of one's own, where Hydra's `_target_` was tried on the command line."""
    group = item.key.removesuffix("._target_")
    module, dot, name = item.found.partition("=")[2].rpartition(".")
    option = "model=custom " if group == "model" else ""
    target = f"{module}:{name}" if dot else name
    return f"a config is data and names code by 'target': {option}{group}.target={target}"
