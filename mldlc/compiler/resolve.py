"""Pass `resolve`: looks the keys up in the store and decides, demand-driven, what each node would do."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from mldlc.compiler.draft import Draft, Node
from mldlc.compiler.gates import foretell, hold
from mldlc.compiler.partitions import changed
from mldlc.compiler.sources import look_inside
from mldlc.plan.dag import downstream, reachable
from mldlc.plan.diagnostic import Diagnostic, did_you_mean, fail
from mldlc.plan.keys import node_key
from mldlc.plan.reason import Reason
from mldlc.store.layout import Store, existing_store
from mldlc.store.records import read_record, reusable
from mldlc.store.statcache import ALWAYS


def run(draft: Draft) -> None:
    """Set action, key, digests and the reasons that only the lookup knows."""
    chosen, forced = _selected(draft)
    store = existing_store(draft.outputs)
    held: set[str] = set()
    for node in draft.nodes.values():
        if node.id not in chosen:
            node.action = "skip"
        node.key = _key(draft, node)
        _look_up(draft, store, node, forced)
        if node.action == "gate" and node.id not in forced and foretell(draft, store, node) is False:
            held.add(node.id)
        if node.action == "run":
            node.note = "; ".join(filter(None, (node.note, changed(draft, store, node))))
            look_inside(draft, node)
    hold(draft, held, forced)
    _demand(draft)
    _one_target(draft)


def _one_target(draft: Draft) -> None:
    """Points of a sweep whose effects stand at the same place overwrite each other, in every run again: a warning."""
    places: dict[tuple[str, str], list[Node]] = {}
    for node in draft.nodes.values():
        if node.typed.purity == "effect" and node.typed.observe:
            places.setdefault((node.stage, node.identity_digest), []).append(node)
    for (stage, _), nodes in places.items():
        if len(nodes) > 1:
            group = next(iter(nodes[0].groups.values()), stage)
            draft.diagnostics.append(
                Diagnostic(
                    "same_target",
                    f"stage '{stage}' of {len(nodes)} points has one target, so the last point wins in every run",
                    severity="warning",
                    key=f"lifecycle.stages.{stage}",
                    hint=f"give each point its own (in '{group}'), or drop the stage from the sweep",
                )
            )


def _selected(draft: Draft) -> tuple[set[str], set[str]]:
    """Node ids to consider, and node ids to run in any case."""
    ask = draft.ask.selection
    upstream = {id: node.upstream() for id, node in draft.nodes.items()}
    stages = sorted({node.stage for node in draft.nodes.values()})
    for name in (ask.until, ask.since, *ask.force):
        if name and name not in stages:
            raise fail(
                "unknown_stage",
                f"command line: no stage '{name}'",
                hint=did_you_mean(name, stages) or f"stages: {', '.join(stages)}",
            )
    chosen = set(draft.nodes)
    if ask.until:
        chosen = reachable(upstream, [id for id, node in draft.nodes.items() if node.stage == ask.until])
    forced = {id for id, node in draft.nodes.items() if node.stage in ask.force}
    if ask.since:
        forced |= reachable(downstream(upstream), [id for id, node in draft.nodes.items() if node.stage == ask.since])
    return chosen, forced & chosen


def _key(draft: Draft, node: Node) -> str | None:
    """The key, once every input digest and source token is known."""
    inputs: dict[str, list[tuple[str, str]]] = {}
    for port, item in node.inputs.items():
        found = [(ref.label, draft.nodes[ref.step].digests.get(ref.port)) for ref in item.refs]
        if any(value is None for _, value in found):
            return None
        inputs[port] = [(label, str(value)) for label, value in found]
    if any(source.token is None for source in node.observed):
        return None
    return node_key(
        kind=node.typed.kind,
        version=node.typed.version,
        code=node.code_digest,
        identity=node.identity_digest,
        inputs=inputs,
        tokens=[str(source.token) for source in node.observed],
        packages=node.packages,
        lineage=node.recipe if node.typed.lineage else "",
    )


def _look_up(draft: Draft, store: Store | None, node: Node, forced: set[str]) -> None:
    if node.action == "skip":
        record = read_record(store, node.key) if store and node.key else None
        if record is not None:
            node.digests = {port: out.digest for port, out in record.outputs.items()}
        return
    if node.id in forced:
        node.action, node.reasons = "run", [Reason("forced")]
        return
    if node.key is None:
        node.action = "apply" if node.typed.purity == "effect" else "maybe"
        for up in node.upstream():
            if not draft.nodes[up].digests and draft.nodes[up].typed.outputs:
                node.reasons.append(Reason("upstream_runs", stage=draft.nodes[up].stage))
        node.reasons += [Reason("unhashed", path=source.name) for source in node.observed if source.token is None]
        if node.typed.purity == "gate":
            node.action = "gate"
        return
    if node.typed.purity == "effect":
        _look_outside(draft, node)
        return
    record = read_record(store, node.key) if store else None
    if record is None:
        node.action = "gate" if node.typed.purity == "gate" else "run"
        return
    node.digests = {port: out.digest for port, out in record.outputs.items()}
    node.action = "reuse"
    assert store is not None
    node.evicted = not reusable(store, record)
    if any(source.token == ALWAYS for source in node.observed):
        node.action, node.digests, node.evicted = "run", {}, False
        node.reasons = [Reason("always")]


def _look_outside(draft: Draft, node: Node) -> None:
    """Effects: compare what stands outside with what the plan wants."""
    module, _, name = node.typed.observe.partition(":")
    state: dict[str, Any] | None = None
    if name:
        state = getattr(importlib.import_module(module), name)(node.typed.params, Path(draft.outputs))
    found = (state or {}).get("key")
    if found == node.key:
        node.action, node.note = "in place", str((state or {}).get("where", ""))
    else:
        node.action = "apply"
        node.reasons = [Reason("observed_differs", old=(state or {}).get("shown"), new=f"key {str(node.key)[:12]}")]


def _demand(draft: Draft) -> None:
    """Bytes are needed by nodes that execute and, for evicted results, by nobody else: run only what is demanded."""
    users = downstream({id: node.upstream() for id, node in draft.nodes.items()})
    for id in reversed(list(draft.nodes)):
        node = draft.nodes[id]
        if not node.evicted:
            continue
        needed = not users[id] or any(
            draft.nodes[user].action in ("run", "maybe", "apply", "gate") for user in users[id]
        )
        if needed and node.action != "skip":
            node.action, node.evicted = "run", False
            node.reasons = [Reason("artifact_missing", path=", ".join(node.typed.outputs))]
