"""The plan: a frozen value that says what would run. plan, run, why, diff and graph are its visitors."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mldlc.plan.codec import decode, digest, encode, ordered
from mldlc.plan.diagnostic import Diagnostic
from mldlc.plan.step import Step

FORMAT = "mldlc.plan/1"


@dataclass(frozen=True)
class Snapshot:
    """The world as `observe` froze it; every later pass is a pure function of config and this.

    as_of: UTC ISO time of planning. hardware: class of machine, e.g. "cpu:2". packages: name -> version of every
    package that a step of the plan names. sources: uri -> token. refs: moving ref -> what it was pinned to.
    code: code root -> digest of its tree. git: {rev, dirty} of the project, if it is a repository.
    """

    as_of: str
    python: str = ""
    hardware: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    git: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Point:
    """One point of a sweep (a plain run has exactly one). config: digest of the blob with the resolved config."""

    id: int
    overrides: tuple[str, ...] = ()
    config: str = ""


@dataclass(frozen=True)
class ConfigSources:
    """How the config came about, enough to compile it again: name, overrides, and every file that was read.

    points: the overrides of each point, where a search chose them. rev: `git://<full sha>:<dir>@<repository>` when the
    whole project was read from git, else "". until, since, force: the part of the plan that was asked for.
    """

    root: str
    name: str
    overrides: tuple[str, ...] = ()
    multirun: bool = False
    files: dict[str, str] = field(default_factory=dict)
    points: tuple[tuple[str, ...], ...] = ()
    rev: str = ""
    until: str = ""
    since: str = ""
    force: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A compiled plan. `id` covers config, code and wiring, and neither actions nor times: equal intent, equal id."""

    name: str
    id: str
    snapshot: Snapshot
    config: ConfigSources
    points: tuple[Point, ...]
    steps: tuple[Step, ...]
    blobs: dict[str, Any] = field(default_factory=dict)
    outputs: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    format: str = FORMAT

    def step(self, id: str) -> Step:
        """The step of this id; KeyError if there is none."""
        return self.by_id()[id]

    def by_id(self) -> dict[str, Step]:
        """Steps by id, in execution order."""
        return {step.id: step for step in self.steps}

    def counts(self) -> dict[str, int]:
        """Number of steps per action; `run`, `maybe`, `reuse`, `apply` and `gate` are always there."""
        out = {"run": 0, "maybe": 0, "reuse": 0, "apply": 0, "gate": 0}
        for step in self.steps:
            name = step.action.replace(" ", "_")
            out[name] = out.get(name, 0) + 1
        return out

    def changes(self) -> bool:
        """Whether executing the plan would do anything."""
        return any(step.action in ("run", "maybe", "apply", "gate") for step in self.steps)


def plan_id(points: tuple[Point, ...], recipes: list[str]) -> str:
    """Identity of a plan: the resolved configs and the recipes."""
    return digest(["plan", [point.config for point in points], sorted(recipes)])


def dump(plan: Plan) -> str:
    """Compact text of a plan: equal plans give equal text; the order of keys in config values is kept."""
    return ordered(encode(plan)).decode()


def load(text: str) -> Plan:
    """Read `mldlc.plan/1`. ValueError when it is something else."""
    data = json.loads(text)
    if not isinstance(data, dict) or data.get("format", FORMAT) != FORMAT:
        raise ValueError(f"not a {FORMAT} document")
    return decode(Plan, data)
