"""Pass `reasons`: compares with the last executed plan of the same name and says, as data, what moved."""

from __future__ import annotations

from collections import Counter
from typing import Any

from mldlc.compiler.draft import Draft, Node
from mldlc.plan.codec import flatten
from mldlc.plan.plan import Plan, load
from mldlc.plan.reason import Reason
from mldlc.plan.step import Step


def run(draft: Draft) -> None:
    """Add reasons to every node that would do something."""
    draft.previous = _previous(draft)
    before = _Before(draft.previous) if draft.previous else None
    for node in draft.nodes.values():
        if node.action in ("reuse", "skip", "in place"):
            continue
        if node.action == "gate":
            node.reasons.append(
                Reason("awaits_decision", path=node.note or node.typed.note or "decided when the run gets here")
            )
        if any(reason.code in ("forced", "always", "artifact_missing") for reason in node.reasons):
            continue
        old = before.find(node, draft.points[node.points[0]].overrides) if before else None
        moved = [Reason("first_run")] if old is None or before is None else _differences(draft, node, old, before)
        if old is not None and not moved and not node.reasons:
            moved = [Reason("first_run")]
        if node.typed.purity == "effect" or (node.reasons and moved == [Reason("first_run")]):
            moved = []
        node.reasons = moved + node.reasons


def _previous(draft: Draft) -> Plan | None:
    path = draft.outputs / "plans" / f"{draft.name}.json"
    try:
        return load(path.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Before:
    """The steps of the previous plan: by id, by stage and point of the sweep, by stage where it had one step only."""

    def __init__(self, plan: Plan) -> None:
        self.blobs = plan.blobs
        self.steps = plan.by_id()
        self._points = {point.overrides: point.id for point in plan.points}
        self._stages: dict[str, list[Step]] = {}
        for step in plan.steps:
            self._stages.setdefault(step.stage, []).append(step)
        self._at: dict[str, dict[int, Step]] = {}

    def find(self, node: Node, overrides: tuple[str, ...]) -> Step | None:
        """What this node was; None where nothing of the previous plan is the same point of the same stage."""
        steps = self._stages.get(node.stage, [])
        if node.id in self.steps or len(steps) == 1:
            return self.steps.get(node.id) or steps[0]
        if node.stage not in self._at:
            self._at[node.stage] = {point: step for step in steps for point in step.points}
        return self._at[node.stage].get(self._points.get(overrides, -1))


def _differences(draft: Draft, node: Node, old: Step, before: _Before) -> list[Reason]:
    """What moved between the step of the previous plan and this node: kind, config, code, packages, wiring, sources."""
    blobs = before.blobs
    out: list[Reason] = []
    if (old.kind, old.version) != (node.typed.kind, node.typed.version):
        out.append(
            Reason("version_changed", old=f"{old.kind} {old.version}", new=f"{node.typed.kind} {node.typed.version}")
        )
    if old.identity != node.identity_digest:
        out += _params(draft, node, blobs.get(old.identity, {}))
    if old.code != node.code_digest:
        was = blobs.get(old.code, {})
        files = tuple(sorted(n for n in {*was, *node.code} if was.get(n) != node.code.get(n)))
        out.append(Reason("code_changed", files=files))
    for name in sorted({*old.packages, *node.packages}):
        if old.packages.get(name) != node.packages.get(name):
            out.append(Reason("env_changed", path=name, old=old.packages.get(name), new=node.packages.get(name)))
    tokens = {source.uri: source.token for source in old.sources}
    for source in node.observed:
        if source.uri in tokens and tokens[source.uri] != source.token and source.token is not None:
            out.append(Reason("source_changed", path=source.name))
    out += _wiring(draft, node, old, before)
    return out


def _params(draft: Draft, node: Node, was: dict[str, Any]) -> list[Reason]:
    out = []
    for formal in sorted({*was, *node.typed.identity}):
        group = node.groups.get(formal, formal)
        old, new = was.get(formal), node.typed.identity.get(formal)
        switched = isinstance(old, dict) and isinstance(new, dict) and old.get("kind") != new.get("kind")
        before, now = flatten(old, group), flatten(new, group)
        # Another option of a group changes all its keys at once: its kind says it.
        paths = [f"{group}.kind"] if switched else sorted({*before, *now})
        for path in paths:
            # null in place of a mapping, or the other way round: the keys of the mapping say it
            grown = any(name.startswith(f"{path}.") and value is not None for name, value in (before | now).items())
            if before.get(path) != now.get(path) or ((path in before) != (path in now) and not grown):
                where = str(draft.locate(path, node.points[0]) or "")
                out.append(Reason("param_changed", path=path, old=before.get(path), new=now.get(path), where=where))
    return out


def _wiring(draft: Draft, node: Node, old: Step, before: _Before) -> list[Reason]:
    out = []
    for port in sorted({*old.inputs, *node.inputs}):
        refs = old.inputs[port].refs if port in old.inputs else ()
        was = [(before.steps[r.step].stage if r.step in before.steps else r.step, r.port) for r in refs]
        now = [(draft.nodes[r.step].stage, r.port) for r in (node.inputs[port].refs if port in node.inputs else ())]
        if was != now:
            show = [_counted(taken) for taken in (was, now)]
            out.append(Reason("rewired", path=port, old=show[0], new=show[1]))
            continue
        for ref, old_ref in zip(
            node.inputs[port].refs if port in node.inputs else (),
            refs,
            strict=True,
        ):
            new_digest = draft.nodes[ref.step].digests.get(ref.port)
            old_digest = before.steps[old_ref.step].digests.get(old_ref.port) if old_ref.step in before.steps else None
            if new_digest and old_digest and new_digest != old_digest:
                out.append(Reason("input_changed", path=port, stage=draft.nodes[ref.step].stage))
    return out


def _counted(refs: list[tuple[str, str]]) -> str | None:
    """What a port takes: "split.split, train.model x6"; None for nothing."""
    counts = Counter(".".join(ref) for ref in refs)
    return ", ".join(f"{name} x{count}" if count > 1 else name for name, count in counts.items()) or None
