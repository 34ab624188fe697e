"""Pass `stages`: one node per live stage and point; a stage of scope `sweep` is one node for all points."""

from __future__ import annotations

from mldlc.compiler.draft import Draft, Node, Typed
from mldlc.plan.codec import flatten
from mldlc.plan.diagnostic import Diagnostic


def run(draft: Draft) -> None:
    """Make the nodes. Ids are provisional (stage@point) until the fingerprint names them."""
    every = tuple(point.id for point in draft.points)
    for point in draft.points:
        for stage, (typed, entry) in draft.typed[point.id].items():
            scope = entry.get("scope", "point")
            id = stage if scope == "sweep" else f"{stage}@{point.id}"
            if id in draft.nodes:
                _one_config(draft, draft.nodes[id], typed, point.id)
                continue
            draft.nodes[id] = Node(
                id=id,
                stage=stage,
                typed=typed,
                scope=scope,
                partial=bool(entry.get("partial")),
                points=every if scope == "sweep" else (point.id,),
                groups=dict(entry["groups"]),
                wiring={port: _as_list(value) for port, value in (entry.get("inputs") or {}).items()},
            )


def _one_config(draft: Draft, node: Node, typed: Typed, point: int) -> None:
    """A stage of the whole sweep has one config: what it reads must not be swept."""
    if typed is node.typed or typed.identity == node.typed.identity:
        return
    was, now = flatten(node.typed.identity), flatten(typed.identity)
    path = next((path for path in sorted({*was, *now}) if was.get(path) != now.get(path)), "")
    formal, _, rest = path.partition(".")
    key = f"{node.groups.get(formal, formal)}.{rest}"
    message = f"'{key}' is swept, but stage '{node.stage}' is made once for the whole sweep"
    found = Diagnostic("swept_once", message, where=draft.locate(key, point), key=key, hint="set it for all points")
    if found not in draft.diagnostics:
        draft.diagnostics.append(found)


def _as_list(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
