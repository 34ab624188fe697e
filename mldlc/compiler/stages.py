"""Pass `stages`: one node per live stage and point; a stage of scope `sweep` is one node for all points."""

from __future__ import annotations

from mldlc.compiler.draft import Draft, Node


def run(draft: Draft) -> None:
    """Make the nodes. Ids are provisional (stage@point) until the fingerprint names them."""
    every = tuple(point.id for point in draft.points)
    for point in draft.points:
        for stage, (typed, entry) in draft.typed[point.id].items():
            scope = entry.get("scope", "point")
            id = stage if scope == "sweep" else f"{stage}@{point.id}"
            if id in draft.nodes:
                continue
            draft.nodes[id] = Node(
                id=id,
                stage=stage,
                typed=typed,
                scope=scope,
                points=every if scope == "sweep" else (point.id,),
                groups=dict(entry["groups"]),
                wiring={port: _as_list(value) for port, value in (entry.get("inputs") or {}).items()},
            )


def _as_list(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
