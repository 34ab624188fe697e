"""Plans by hand for tests of the engine: what the compiler would make of a few stages of the kit."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mldlc.engine.execute import Event, Options, Result, execute
from mldlc.plan.codec import digest
from mldlc.plan.keys import recipe
from mldlc.plan.plan import ConfigSources, Plan, Point, Snapshot, plan_id
from mldlc.plan.spec import Resources
from mldlc.plan.step import Input, InputRef, Source, Step
from mldlc.store.codetree import tree_digest

KIT = Path(__file__).parent / "kit"
OUTPUTS = {"SOURCE": {"value": "Any", "double": "Any", "files": "Any"}}
GROUP = {"LOGIN": "login"}
PURITY = {"ASK": "gate", "DEPLOY": "effect"}
MANY = {"ADD": "values", "noop": "after"}


def copy_kit(folder: Path) -> Path:
    """The kit as a code root of its own."""
    root = folder / "project"
    shutil.copytree(KIT, root, ignore=shutil.ignore_patterns("__pycache__"))
    return root


class Builder:
    """Adds stages one after another; `plan()` freezes them."""

    def __init__(self, root: Path | None = None, code: str = "code-1") -> None:
        self.root, self.code = root, code
        self.steps: dict[str, Step] = {}
        self.blobs: dict[str, Any] = {}

    def add(
        self,
        stage: str,
        kind: str,
        inputs: Mapping[str, str | list[str]] | None = None,
        *,
        needs: Resources | None = None,
        action: str = "run",
        sources: tuple[Source, ...] = (),
        **config: Any,
    ) -> Builder:
        """One stage. kind: a name of the kit, or `noop`. inputs: port -> "stage.port", or a list of them for `many`."""
        kit = kind != "noop"
        config = {k: str(v) if isinstance(v, Path) else v for k, v in config.items()}
        group = GROUP.get(kind, "step") if kit else "noop"
        params = {group: config}
        identity = {group: {k: v for k, v in config.items() if k != "password"}}
        bound = {}
        for port, wired in (inputs or {}).items():
            refs = [name.partition(".") for name in ([wired] if isinstance(wired, str) else wired)]
            arity = "many" if MANY.get(kind) == port else "optional" if port == "after" else "one"
            labelled = tuple(InputRef(a, c or "value", f"{a}.{c}" if arity == "many" else "") for a, _, c in refs)
            bound[port] = Input("Any", arity, labelled)  # type: ignore[arg-type]
        for value in (params, identity):
            self.blobs[digest(value)] = value
        name = f"kit.steps:{kind}" if kit else "scope.noop"
        merkle = {p: [(r.label, self.steps[r.step].recipe, r.port) for r in i.refs] for p, i in bound.items()}
        uris = [source.uri for source in sources]
        self.steps[stage] = Step(
            id=stage, stage=stage, kind=name, version=1,
            impl=f"kit.steps:{IMPL.get(kind, kind.lower())}" if kit else "mldlc.scope.noop:run",
            recipe=recipe(kind=name, version=1, code=self.code, identity=digest(identity), inputs=merkle, sources=uris),
            params=digest(params), identity=digest(identity), code=self.code, purity=PURITY.get(kind, "pure"),
            inputs=bound, outputs=OUTPUTS.get(kind, {"value": "Any"} if kit else {"done": "Decision"}),
            sources=sources, needs=needs or Resources(process="light" if kit else "inline"), points=(0,), action=action,
        )  # type: ignore[arg-type]  # fmt: skip
        return self

    def plan(self, **settings: Any) -> Plan:
        """The frozen plan."""
        code = {str(self.root): tree_digest(self.root)} if self.root else {}
        steps = tuple(self.steps.values())
        settings = {"executor": {"threads": 1, **settings.pop("executor", {})}, **settings}
        points = (Point(0, (), digest(self.blobs)),)
        snapshot = Snapshot("2026-01-01T00:00:00Z", code=code)
        return Plan(
            name="test", id=plan_id(points, [s.recipe for s in steps]), snapshot=snapshot,
            config=ConfigSources(str(self.root or "/"), "config"), points=points, steps=steps, blobs=dict(self.blobs),
            settings=settings,
        )  # fmt: skip


IMPL = {"READ": "read_file"}


class Watch:
    """Runs plans and keeps the events."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.events: list[Event] = []
        self.stop = threading.Event()
        self.hooks: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.type in self.hooks:
            self.hooks[event.type](event)

    def run(self, plan: Plan, **options: Any) -> Result:
        """Execute; events of this run only."""
        self.events = []
        return execute(plan, self.outputs, Options(**{"jobs": 2, **options}), self, self.stop)

    def types(self, step: str = "") -> list[str]:
        """Event types of a step in order ("" for all)."""
        return [event.type for event in self.events if not step or event.step == step]


def planned(plan: Plan, result: Result, keys: Mapping[str, str]) -> Plan:
    """The plan that the compiler would make right after a run: everything is reuse."""
    steps = tuple(
        replace(step, action="reuse", key=keys[step.id], digests=result.steps[step.id].digests) for step in plan.steps
    )
    return replace(plan, steps=steps)
