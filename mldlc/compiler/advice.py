"""What a kind of step has to say in the plan, and picks for it, from the sizes of its inputs and from its last run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace

from mldlc.compiler.draft import Draft, Node
from mldlc.store.layout import Store, existing_store
from mldlc.store.records import read_record


def advise(draft: Draft, node: Node, last: Mapping[str, float]) -> str:
    """One line, or ""; asks the function that the kind names. The values that it picks become the node's own."""
    module, _, name = node.typed.advise.partition(":")
    store = existing_store(draft.outputs)
    sizes = {port: _size(draft, store, node, port) for port in node.inputs}
    line, picks = getattr(importlib.import_module(module), name)(node.typed.params, sizes, last)
    if picks:
        chosen = {group: {**node.typed.params[group], **values} for group, values in picks.items()}
        node.typed = replace(node.typed, params=node.typed.params | chosen)
    return str(line)


def _size(draft: Draft, store: Store | None, node: Node, port: str) -> int | None:
    """Bytes of what a port is given, None where that is not known yet."""
    total = 0
    for ref in node.inputs[port].refs:
        up = draft.nodes[ref.step]
        record = read_record(store, up.key) if store is not None and up.key and ref.port in up.digests else None
        if record is None or ref.port not in record.outputs:
            return None
        total += record.outputs[ref.port].size
    return total
