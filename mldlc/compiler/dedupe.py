"""Pass `dedupe`: nodes of equal stage and recipe become one, whatever point they came from."""

from __future__ import annotations

from dataclasses import replace

from mldlc.compiler.draft import Draft, Node
from mldlc.plan.diagnostic import Diagnostic


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
            if item.arity != "many" and len(refs) > 1:
                draft.diagnostics.append(_too_many(draft, node, port))
    draft.nodes = merged


def _too_many(draft: Draft, node: Node, port: str) -> Diagnostic:
    """A port of a sweep's stage takes one artifact, which all points share: here they do not."""
    key, refs = f"lifecycle.stages.{node.stage}.inputs.{port}", node.inputs[port].refs
    stage = draft.nodes[refs[0].step].stage if refs[0].step in draft.nodes else refs[0].step.partition("#")[0]
    message = f"input '{port}' of stage '{node.stage}' takes one {node.inputs[port].type}, got {len(refs)} of '{stage}'"
    hint = "the points differ there: take it from a stage of the sweep, or leave it out with null"
    return Diagnostic("too_many_inputs", message, where=draft.locate(key, node.points[0]), key=key, hint=hint)
