"""Looks into the files that a step would read: the plan tells what the step would stop at, with the line to blame."""

from __future__ import annotations

import importlib

from mldlc.compiler.draft import Draft, Node
from mldlc.plan.diagnostic import Diagnostic


def look_inside(draft: Draft, node: Node) -> None:
    """Add a diagnostic for everything that the check of a shipped kind finds in the step's local files."""
    paths = [path for source in node.observed for path in source.paths]
    if not node.typed.check or not paths or draft.ask.offline:
        return
    from mldlc import catalog

    if catalog.is_user_kind(node.typed.kind):
        return
    module, _, name = node.typed.check.partition(":")
    for error in getattr(importlib.import_module(module), name)(node.typed.params, paths):
        formal, _, rest = error.where.partition(".")
        known = formal in node.groups  # else the place is a file: the key that names it is to blame
        key = f"{node.groups[formal]}.{rest}" if known else f"{next(iter(node.groups.values()))}.path"
        where = draft.locate(key, node.points[0])
        item = Diagnostic("wrong_source", error.message, where=where, key=key, hint=error.hint)
        if item not in draft.diagnostics:
            draft.diagnostics.append(item)
