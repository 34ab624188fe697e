"""Pass `lower`: freezes the draft into the plan: execution order, shared blobs, the point table."""

from __future__ import annotations

from typing import Any

from mldlc.compiler.draft import Draft, Node
from mldlc.plan.codec import ordered_digest
from mldlc.plan.plan import ConfigSources, Plan, Point, plan_id
from mldlc.plan.step import Step


def run(draft: Draft) -> None:
    """Set `draft.plan`."""
    blobs: dict[str, Any] = {}
    seen: dict[int, str] = {}
    steps = tuple(_step(draft, node, blobs, seen) for node in draft.nodes.values())
    points = []
    for point in draft.points:
        name = ordered_digest(point.config)
        blobs.setdefault(name, point.config)
        points.append(Point(point.id, point.overrides, name))
    ask = draft.ask
    draft.plan = Plan(
        name=draft.name,
        id=plan_id(tuple(points), [step.recipe for step in steps]),
        snapshot=draft.snapshot,
        config=ConfigSources(
            root=str(draft.root),
            name=ask.config_name,
            overrides=ask.overrides,
            multirun=ask.multirun,
            files=draft.files,
            points=ask.points,
            rev=draft.rev,
            until=ask.selection.until,
            since=ask.selection.since,
            force=ask.selection.force,
        ),
        points=tuple(points),
        steps=steps,
        blobs=blobs,
        outputs=str(draft.outputs),
        settings=draft.settings,
        diagnostics=tuple(draft.diagnostics),
    )


def _step(draft: Draft, node: Node, blobs: dict[str, Any], seen: dict[int, str]) -> Step:
    typed = node.typed
    if id(typed) not in seen:
        seen[id(typed)] = ordered_digest(typed.params)
        blobs.setdefault(seen[id(typed)], typed.params)
        blobs.setdefault(node.identity_digest, typed.identity)
        blobs.setdefault(node.code_digest, node.code)
    return Step(
        id=node.id,
        stage=node.stage,
        kind=typed.kind,
        version=typed.version,
        impl=typed.impl,
        recipe=node.recipe,
        params=seen[id(typed)],
        identity=node.identity_digest,
        code=node.code_digest,
        purity=typed.purity,
        inputs=node.inputs,
        outputs=typed.outputs,
        sources=node.observed,
        packages=node.packages,
        needs=typed.needs,
        scope=node.scope,
        points=node.points,
        lineage=typed.lineage,
        observe=typed.observe,
        nondeterministic=typed.nondeterministic,
        key=node.key,
        digests=node.digests,
        evicted=node.evicted,
        action=node.action,
        reasons=tuple(node.reasons),
        cost=node.cost,
        note=node.note or typed.note,
        advice=node.advice,
        partial=node.partial,
        groups={formal: path for formal, path in node.groups.items() if formal != path},
    )
