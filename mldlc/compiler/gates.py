"""What the plan can tell of a gate already, and what is left out where one will not open."""

from __future__ import annotations

import importlib
import json
from typing import Any

from mldlc import catalog
from mldlc.compiler.draft import Draft, Node
from mldlc.plan.dag import downstream, reachable
from mldlc.plan.diagnostic import Diagnostic
from mldlc.plan.step import InputRef
from mldlc.store.layout import Store
from mldlc.store.named import is_named
from mldlc.store.objects import tree_files


def foretell(draft: Draft, store: Store | None, node: Node) -> bool | None:
    """Ask the function that the kind names; the answer joins the node's note. None where the plan cannot tell."""
    if not node.typed.decide or catalog.is_user_kind(node.typed.kind):
        return None
    module, _, name = node.typed.decide.partition(":")
    tokens = {source.uri: source.token for source in node.observed if source.token is not None}

    def read(port: str, name: str) -> Any:
        refs = node.inputs[port].refs if port in node.inputs else ()
        digest = _digest(draft, refs[0]) if refs else None
        try:
            return json.loads(tree_files(store, digest)[name].read_bytes()) if store and digest else None
        except (OSError, ValueError, KeyError):
            return None

    opens: bool | None
    opens, node.note = getattr(importlib.import_module(module), name)(node.typed.params, tokens, read)
    return opens


def hold(draft: Draft, held: set[str], forced: set[str]) -> None:
    """Gates that will not open: what hangs on them is left out, and then what only that would have used."""
    if not held:
        return
    users = downstream({id: node.upstream() for id, node in draft.nodes.items()})
    for id in reachable(users, list(held)):
        _leave_out(draft.nodes[id])
    for stage in dict.fromkeys(draft.nodes[id].stage for id in reachable(users, list(held)) & forced):
        why = "; ".join(dict.fromkeys(f"{draft.nodes[id].stage}: {draft.nodes[id].note}" for id in held))
        message = f"stage '{stage}' is forced, but left out ({why})"
        hint = "a gate is no cache: change what it decides by"
        draft.diagnostics.append(Diagnostic("left_out", message, severity="warning", hint=hint))
    for id in reversed(list(draft.nodes)):
        node = draft.nodes[id]
        if users[id] and node.action in ("run", "maybe") and all(draft.nodes[u].action == "skip" for u in users[id]):
            _leave_out(node)


def _digest(draft: Draft, ref: InputRef) -> str | None:
    """What an input will be, where its step has run, or passes on an artifact that the plan pins."""
    up = draft.nodes[ref.step]
    if found := up.digests.get(ref.port):
        return found
    passes = len(up.observed) == 1 and is_named(up.observed[0].uri) and list(up.typed.outputs) == [ref.port]
    return up.observed[0].commit or None if passes else None


def _leave_out(node: Node) -> None:
    if node.action not in ("reuse", "in place"):
        node.action, node.reasons, node.evicted = "skip", [], False
