"""How many partitions of a step are new: looks up the items that its `ctx.map` would ask for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mldlc.compiler.draft import Draft, Node
from mldlc.plan.keys import item_key
from mldlc.store.layout import Store
from mldlc.store.objects import tree_files
from mldlc.store.records import read_record


def changed(draft: Draft, store: Store | None, node: Node) -> str:
    """As text: '3 of 120 partitions changed', or '' where the step maps none, all are new, or it cannot be told."""
    digests = [digest for source in node.observed for digest in draft.contents.get(source.uri, ())]
    if store is None or not node.typed.items or not digests:
        return ""
    known = store

    def find(fn: str, item: Any) -> Mapping[str, Path] | None:
        record = read_record(known, _key(node, fn, item))
        try:
            return tree_files(known, record.outputs["part"].digest) if record else None
        except (OSError, ValueError):
            return None

    module, _, name = node.typed.items.partition(":")
    items = getattr(importlib.import_module(module), name)(node.typed.params, digests, find)
    if not items:
        return ""
    new = sum(not known.record(_key(node, fn, item)).exists() for fn, item in items)
    return f"{new} of {len(items)} partitions changed" if new < len(items) else ""


def _key(node: Node, fn: str, item: Any) -> str:
    return item_key(
        kind=node.typed.kind,
        version=node.typed.version,
        code=node.code_digest,
        identity=node.identity_digest,
        packages=node.packages,
        fn=fn,
        name="",
        item=item,
    )
