"""Which rows, code, config and environment an artifact came from, and what came from it: a walk over action records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldlc.engine.history import events
from mldlc.engine.journal import NAME
from mldlc.plan.codec import flatten
from mldlc.plan.diagnostic import fail
from mldlc.plan.plan import Plan, load
from mldlc.plan.record import Record
from mldlc.plan.step import Step
from mldlc.store.layout import Store, existing_store
from mldlc.store.objects import read_tree
from mldlc.store.records import read_record, record_keys


@dataclass(frozen=True)
class Artifact:
    """One artifact. rows: of a table, or of each part of a split, as its manifest says; {} for other types.

    key: of the action shown as its maker, "" when no record tells. others: further actions that made the same bytes.
    """

    digest: str
    type: str = ""
    stage: str = ""
    port: str = ""
    size: int = 0
    files: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    key: str = ""
    others: int = 0


@dataclass(frozen=True)
class Value:
    """One config value that went into a result. set_by: the override or the file:line that set it, "" if not told."""

    path: str
    value: Any
    set_by: str = ""


@dataclass(frozen=True)
class Action:
    """One execution. inputs: port -> {label: digest}; outputs: port -> digest.

    sources: {uri, name, token, commit, paths} of what it read from outside. config, modules, git and python come from
    the plan of the run that executed it: empty, and `known` False, when that run's folder is gone. overrides: what the
    command line of that run said.
    """

    key: str
    stage: str
    kind: str
    run: str
    started: float
    seconds: float
    host: str
    inputs: dict[str, dict[str, str]]
    outputs: dict[str, str]
    sources: tuple[dict[str, Any], ...]
    packages: dict[str, str]
    code: str
    config: tuple[Value, ...] = ()
    overrides: tuple[str, ...] = ()
    modules: dict[str, str] = field(default_factory=dict)
    git: dict[str, str] = field(default_factory=dict)
    python: str = ""
    known: bool = True


@dataclass(frozen=True)
class Effect:
    """Something that a run did outside its artifacts with one of them: published it, say."""

    run: str
    stage: str
    kind: str
    digests: tuple[str, ...]


@dataclass(frozen=True)
class Lineage:
    """A walk from `roots` (digests). missing: digests that no record in the store explains."""

    roots: tuple[str, ...]
    down: bool
    artifacts: dict[str, Artifact]
    actions: dict[str, Action]
    effects: tuple[Effect, ...] = ()
    missing: tuple[str, ...] = ()


class Index:
    """Records by what they made and what they took. `known`: the keys to look at first (those of one run)."""

    def __init__(self, outputs: Path, known: Iterable[str] = ()) -> None:
        store = existing_store(outputs)
        if store is None:
            raise fail("no_store", f"there is no store under {outputs}", hint="run something first: mldlc run")
        self.store: Store = store
        self.outputs = outputs
        self.records: dict[str, Record] = {}
        self.makers: dict[str, list[str]] = {}
        self.users: dict[str, list[str]] = {}
        self.whole = False
        self._plans: dict[str, Plan | None] = {}
        for key in known:
            self._add(key)

    def read_all(self) -> None:
        """Read every record of the store; needed for what came from an artifact, and for a bare digest."""
        if not self.whole:
            self.whole = True
            for key in record_keys(self.store):
                self._add(key)

    def maker(self, digest: str) -> str:
        """The key that made an artifact: of the runs looked at first, else the first of all; "" when nobody did."""
        if digest not in self.makers:
            self.read_all()
        return next(iter(self.makers.get(digest, ())), "")

    def plan(self, run: str) -> Plan | None:
        """The plan of a run, None when its folder is gone."""
        if run not in self._plans:
            try:
                self._plans[run] = load((self.outputs / "runs" / run / "plan.json").read_text())
            except (OSError, ValueError, KeyError, TypeError):
                self._plans[run] = None
        return self._plans[run]

    def artifact(self, digest: str) -> Artifact:
        """What is known of an artifact."""
        key = self.maker(digest)
        if not key:
            return Artifact(digest)
        record = self.records[key]
        port = next(port for port, out in record.outputs.items() if out.digest == digest)
        out = record.outputs[port]
        rows = row_counts(self.store, digest) if out.type in ("Table", "Split") else {}
        others = len(self.makers[digest]) - 1
        return Artifact(digest, out.type, record.stage, port, out.size, out.files, rows, key, others)

    def action(self, key: str) -> Action:
        """What is known of an execution."""
        record = self.records[key]
        plan = self.plan(record.run)
        step = _step(plan, record) if plan else None
        found = {source.uri: source for source in step.sources} if step else {}
        sources = tuple(
            {
                "uri": uri, "name": found[uri].name if uri in found else uri, "token": token,
                "commit": found[uri].commit if uri in found else "",
                "paths": list(found[uri].paths) if uri in found else [],
            }
            for uri, token in record.tokens.items()
        )  # fmt: skip
        action = Action(
            key, record.stage, record.kind, record.run, record.started, record.seconds, record.host, record.inputs,
            {port: out.digest for port, out in record.outputs.items()}, sources, record.packages, record.code,
            known=step is not None,
        )  # fmt: skip
        if plan is None or step is None:
            return action
        return Action(**{
            **vars(action),
            "packages": {name: plan.snapshot.packages.get(name, part) for name, part in record.packages.items()},
            "config": tuple(values(plan, step)), "overrides": plan.config.overrides,
            "modules": dict(plan.blobs.get(step.code) or {}),
            "git": plan.snapshot.git, "python": plan.snapshot.python,
        })  # fmt: skip

    def _add(self, key: str) -> None:
        record = None if key in self.records else read_record(self.store, key)
        if record is None:
            return
        self.records[key] = record
        for out in record.outputs.values():
            self.makers.setdefault(out.digest, []).append(key)
        for digest in {digest for labels in record.inputs.values() for digest in labels.values()}:
            self.users.setdefault(digest, []).append(key)


def upstream(index: Index, roots: Iterable[str]) -> Lineage:
    """Everything that `roots` came from."""
    roots = tuple(dict.fromkeys(roots))
    artifacts: dict[str, Artifact] = {}
    actions: dict[str, Action] = {}
    todo = list(reversed(roots))
    while todo:
        digest = todo.pop()
        if digest in artifacts:
            continue
        found = artifacts[digest] = index.artifact(digest)
        if found.key and found.key not in actions:
            action = actions[found.key] = index.action(found.key)
            todo += [item for labels in action.inputs.values() for item in labels.values()]
    missing = tuple(digest for digest, item in artifacts.items() if not item.key)
    return Lineage(roots, False, artifacts, actions, missing=missing)


def downstream(index: Index, roots: Iterable[str]) -> Lineage:
    """Everything that came from `roots`, and the effects that runs had with any of it."""
    index.read_all()
    roots = tuple(dict.fromkeys(roots))
    artifacts: dict[str, Artifact] = {}
    actions: dict[str, Action] = {}
    todo = list(reversed(roots))
    while todo:
        digest = todo.pop()
        if digest in artifacts:
            continue
        artifacts[digest] = index.artifact(digest)
        for key in index.users.get(digest, ()):
            if key not in actions:
                actions[key] = index.action(key)
                todo += list(actions[key].outputs.values())
    missing = tuple(digest for digest, item in artifacts.items() if not item.key)
    return Lineage(roots, True, artifacts, actions, tuple(_effects(index, set(artifacts))), missing)


def row_counts(store: Store, digest: str) -> dict[str, int]:
    """Rows of a table ({"rows": n}) or of the parts of a split, from the manifest; {} when that is not in the store."""
    try:
        name, _ = read_tree(store, digest).files["manifest.json"]
        manifest = json.loads(store.object(name).read_bytes())
    except (OSError, ValueError, KeyError):
        return {}
    counts = manifest.get("counts") or {"rows": manifest.get("rows")}
    return {str(part): int(count) for part, count in counts.items() if isinstance(count, int)}


def _step(plan: Plan, record: Record) -> Step | None:
    same = [step for step in plan.steps if step.recipe == record.recipe]
    return next((step for step in same if step.stage == record.stage), same[0] if same else None)


def values(plan: Plan, step: Step) -> Iterator[Value]:
    """The hashed config values of a step under their config paths, with who set them as far as the plan tells."""
    swept = plan.points[step.points[0]].overrides if step.points and step.points[0] < len(plan.points) else ()
    lines = {line.lstrip("+").partition("=")[0]: line for line in (*plan.config.overrides, *swept) if "=" in line}
    places = {reason.path: reason.where for reason in step.reasons if reason.where}
    identity = plan.blobs.get(step.identity)
    for formal_path, value in sorted(flatten(identity).items()) if identity else ():
        formal, dot, rest = formal_path.partition(".")
        path = step.groups.get(formal, formal) + dot + rest
        line = next((lines[prefix] for prefix in _prefixes(path) if prefix in lines), "")
        yield Value(path, value, places.get(path, "") or line)


def _prefixes(path: str) -> Iterator[str]:
    """A dotted path and its parents, nearest first."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _effects(index: Index, digests: set[str]) -> Iterator[Effect]:
    """Effects that runs applied with one of these artifacts, oldest first."""
    root = index.outputs / "runs"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        journal = folder / NAME
        if not journal.exists() or b'"effect_applied"' not in journal.read_bytes():
            continue
        plan = index.plan(folder.name)
        if plan is None:
            continue
        made: dict[str, dict[str, str]] = {}
        for event in events(folder):
            made.setdefault(event.step, {}).update(event.data.get("digests") or {})
            if event.type == "effect_applied":
                step = plan.step(event.step)
                refs = [ref for item in step.inputs.values() for ref in item.refs]
                used = tuple(d for ref in refs if (d := made.get(ref.step, {}).get(ref.port, "")) in digests)
                if used:
                    yield Effect(folder.name, step.stage, step.kind, used)
