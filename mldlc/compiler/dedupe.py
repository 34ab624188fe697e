"""Pass `dedupe`: nodes of equal stage and recipe become one, whatever point they came from."""

from __future__ import annotations

from dataclasses import replace

from mldlc.compiler.draft import Draft, Node


def run(draft: Draft) -> None:
    """Merge by id (ids carry the recipe in a sweep); merged nodes keep all their points."""
    merged: dict[str, Node] = {}
    points: dict[str, list[int]] = {}
    for node in draft.nodes.values():
        merged.setdefault(node.id, node)
        points.setdefault(node.id, []).extend(node.points)
    for id, node in merged.items():
        node.points = tuple(sorted(set(points[id])))
        for port, item in node.inputs.items():
            refs = tuple(dict.fromkeys(item.refs))
            if len(refs) < len(item.refs):
                node.inputs[port] = replace(item, refs=refs)
    draft.nodes = merged
