"""Runs one step's implementation on artifacts in a folder, without engine or store: for tests of rooms."""

from __future__ import annotations

import hashlib
import importlib
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import TypeAdapter

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.load import typed
from mldlc.plan.spec import StepSpec


def artifact(kind: str, folder: Path) -> Artifact:
    """A folder as an artifact handle."""
    files = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
    sums = hashlib.sha256()
    for name, path in files.items():
        sums.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return Artifact(kind, sums.hexdigest(), files, folder.parent / "views")


@dataclass
class StepRun:
    """What a step gave: artifacts by port, summary, metrics in order, progress calls."""

    outputs: dict[str, Artifact]
    summary: dict[str, Any]
    metrics: list[tuple[str, float, int]]

    def digest(self, port: str) -> str:
        """Digest over names and bytes of an output."""
        return self.outputs[port].digest


@dataclass
class HarnessContext:
    """A Context over plain folders."""

    root: Path
    stage: str = "stage"
    key: str = "0" * 64
    threads: int = 2
    sources: tuple[Mapping[str, Any], ...] = ()
    lineage: Sequence[Mapping[str, Any]] = ()
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("step"))
    facts: dict[str, Any] = field(default_factory=dict)
    metrics: list[tuple[str, float, int]] = field(default_factory=list)
    approvals: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    stop: bool = False
    rank: int = 0
    world: int = 1

    @property
    def scratch(self) -> Path:
        path = self.root / "scratch"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def temp(self) -> Path:
        path = self.root / "temp"
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def outputs(self) -> Path:
        path = self.root / "outputs"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def approval(self, digest: str) -> Mapping[str, Any] | None:
        return self.approvals.get(digest)

    def out(self, port: str) -> Path:
        path = self.root / "out" / port
        path.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        assert total is None or done <= total

    def metric(self, name: str, value: float, step: int) -> None:
        self.metrics.append((name, value, step))

    def summary(self, facts: Mapping[str, Any]) -> None:
        self.facts.update(facts)

    def intact(self, path: Path) -> bool:
        return True

    def ranks(self, count: int, entry: str, preload: Sequence[str] = ()) -> None:
        raise NotImplementedError("ranks need an engine: tests.ranked_step")

    def adopt(self, port: str, name: str, path: Path) -> None:
        shutil.copyfile(path, self.out(port) / name)

    def cancelled(self) -> bool:
        return bool(self.stop)

    def map(self, items: Sequence[tuple[str, Any]], fn: Callable[[str, Any, Path], None]) -> dict[str, Path]:
        done = {}
        for number, (name, item) in enumerate(items):
            done[name] = self.root / "map" / fn.__name__ / str(number)
            done[name].mkdir(parents=True, exist_ok=True)
            fn(name, item, done[name])
        return done


def validated(spec: StepSpec, config: Mapping[str, Any]) -> SimpleNamespace:
    """The config of a step, validated by the schemas of its spec; every formal group must be given."""
    return SimpleNamespace(
        **{group: TypeAdapter(schema).validate_python(config[group]) for group, schema in spec.reads.items()}
    )


def run_step(
    spec: StepSpec,
    config: Mapping[str, Any],
    inputs: Mapping[str, Artifact | Mapping[str, Artifact] | None],
    folder: Path,
    **context: Any,
) -> StepRun:
    """Run `spec.impl` on `inputs` in `folder`; missing optional ports become None."""
    ctx = HarnessContext(folder, **context)
    module, _, name = spec.impl.partition(":")
    ready: dict[str, Any] = dict.fromkeys(spec.inputs)
    for port, value in inputs.items():
        ready[port] = {k: typed(v) for k, v in value.items()} if isinstance(value, Mapping) else value and typed(value)
    getattr(importlib.import_module(module), name)(ctx, validated(spec, config), ready)
    outputs = {port: artifact(kind.name, folder / "out" / port) for port, kind in spec.outputs.items()}
    return StepRun(outputs, ctx.facts, ctx.metrics)
