"""What a kind of step has to say in the plan, and picks for it, from what is known of its inputs and its last run."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mldlc.compiler.draft import Draft, Node
from mldlc.plan.advice import Advice
from mldlc.plan.diagnostic import Diagnostic
from mldlc.store.layout import Store, existing_store
from mldlc.store.objects import read_tree
from mldlc.store.records import read_record


def advise(draft: Draft, node: Node, last: Mapping[str, float]) -> None:
    """Set note and advice of a node that would run, and add what it would stop at; asks the function of its kind.

    The values that it picks become the node's own.
    """
    module, _, name = node.typed.advise.partition(":")
    advice: Advice = getattr(importlib.import_module(module), name)(node.typed.params, _Outlook(draft, node, last))
    if advice.note and not node.note:
        node.note = "; ".join(filter(None, (node.typed.note, advice.note)))
    node.advice = dict(advice.facts)
    if advice.picks:
        chosen = {group: {**node.typed.params[group], **values} for group, values in advice.picks.items()}
        node.typed = replace(node.typed, params=node.typed.params | chosen)
    for error in advice.errors:
        formal, _, rest = error.where.partition(".")
        key = f"{node.groups[formal]}.{rest}" if rest else node.groups[formal]
        where = draft.locate(key, node.points[0])
        item = Diagnostic("bad_advice", error.message, where=where, key=key, hint=error.hint)
        if item not in draft.diagnostics:
            draft.diagnostics.append(item)


class _Outlook:
    """See `mldlc.plan.advice.Outlook`."""

    def __init__(self, draft: Draft, node: Node, last: Mapping[str, float]) -> None:
        self.draft, self.node, self.last = draft, node, last
        self.store: Store | None = existing_store(draft.outputs)
        found = {port: [self._output(ref.step, ref.port) for ref in item.refs] for port, item in node.inputs.items()}
        self.digests = {port: [digest for digest, _ in items] for port, items in found.items()}
        self.sizes: dict[str, int | None] = {port: _sum([size for _, size in items]) for port, items in found.items()}

    def _output(self, step: str, port: str) -> tuple[str | None, int | None]:
        """Digest and bytes of what a node upstream gave, where that is known."""
        up = self.draft.nodes[step]
        record = read_record(self.store, up.key) if self.store and up.key and port in up.digests else None
        output = record.outputs.get(port) if record is not None else None
        return (output.digest, output.size) if output is not None else (None, None)

    def read(self, port: str, name: str) -> Any:
        digests = self.digests.get(port, [])
        if self.store is None or len(digests) != 1 or digests[0] is None:
            return None
        try:
            files = read_tree(self.store, digests[0]).files
            return json.loads(self.store.object(files[name][0]).read_bytes()) if name in files else None
        except (OSError, ValueError):  # evicted, or damaged: it is made again before the step needs it
            return None

    def ask(self, function: str, question: Mapping[str, Any]) -> dict[str, Any]:
        from mldlc.compiler.probe import ask_function

        return ask_function(self.draft, function, question, self.node.code_digest)


def _sum(sizes: list[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
