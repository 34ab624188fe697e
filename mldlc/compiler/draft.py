"""The mutable graph that the passes work on: plain data only, so that it can be cached without its schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldlc.config.tree import Ledger
from mldlc.plan.diagnostic import Diagnostic, Location
from mldlc.plan.plan import Plan, Snapshot
from mldlc.plan.reason import Reason
from mldlc.plan.source import SourceRef
from mldlc.plan.spec import Arity, Purity, Resources
from mldlc.plan.step import Action, Cost, Input, Source

if TYPE_CHECKING:
    from mldlc.config.compose import Composition
    from mldlc.config.project import Project


@dataclass(frozen=True)
class Selection:
    """Which part of the plan to execute: up to a stage, again from a stage on, or with forced stages."""

    until: str = ""
    since: str = ""
    force: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompileRequest:
    """Everything the compiler is asked.

    start: a folder of the project. offline: outside sources are not looked at. points: the points of a sweep, each by
    its overrides, where they are not to be found from `overrides`. rev: the git revision that the whole project is read
    from, "" for the files on disk. locked: a moving revision, of configs or of data, that `mldlc.lock` lacks is an
    error. repin: names in `mldlc.lock` that do not count, () for all of it, None where it holds.
    """

    start: Path
    overrides: tuple[str, ...] = ()
    config_name: str = "config"
    multirun: bool = False
    config_dir: str | None = None
    selection: Selection = Selection()
    offline: bool = False
    points: tuple[tuple[str, ...], ...] = ()
    rev: str = ""
    locked: bool = False
    repin: tuple[str, ...] | None = None

    @cached_property
    def project(self) -> Project:
        """The project around `start`; reading its manifest costs an import of YAML, so a warm plan never asks."""
        from mldlc.config.project import find_project, project_at

        return project_at(self.start, self.rev) if self.rev else find_project(self.start, repin=self.repin)


class NeedsConfig(Exception):
    """A pass needs the composed config, which a cached draft does not have: compile again without the cache."""


@dataclass(frozen=True)
class Typed:
    """What typing a stage gives: its spec as data and its validated config. Shared by all points with equal config.

    ports: input port -> (artifact type, arity). params: formal group -> all values (what the worker gets).
    identity: formal group -> hashed values. modules: implementation and chosen components. targets: users' own classes.
    measures: see StepSpec; None where nobody knows.
    """

    kind: str
    version: int
    impl: str
    purity: Purity
    ports: dict[str, tuple[str, Arity]]
    outputs: dict[str, str]
    params: dict[str, Any]
    identity: dict[str, Any]
    sources: tuple[SourceRef, ...] = ()
    needs: Resources = field(default_factory=Resources)
    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    observe: str = ""
    items: str = ""
    check: str = ""
    decide: str = ""
    lineage: bool = False
    nondeterministic: tuple[str, ...] = ()
    note: str = ""
    advise: str = ""
    measures: tuple[str, ...] | None = None


@dataclass
class Node:
    """One stage of one point (or of the sweep), on its way to a plan step. `points` grows when nodes are merged."""

    id: str
    stage: str
    typed: Typed
    scope: str
    points: tuple[int, ...]
    groups: dict[str, str]
    wiring: dict[str, list[str]]
    inputs: dict[str, Input] = field(default_factory=dict)
    observed: tuple[Source, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    code_digest: str = ""
    identity_digest: str = ""
    recipe: str = ""
    key: str | None = None
    digests: dict[str, str] = field(default_factory=dict)
    evicted: bool = False
    action: Action = "run"
    reasons: list[Reason] = field(default_factory=list)
    cost: Cost | None = None
    note: str = ""
    advice: dict[str, Any] = field(default_factory=dict)
    partial: bool = False

    def upstream(self) -> list[str]:
        """Ids of the nodes whose outputs this one takes, without repeats."""
        return list(dict.fromkeys(ref.step for item in self.inputs.values() for ref in item.refs))


@dataclass(frozen=True)
class DraftPoint:
    """One point: what the sweep set, and the resolved config."""

    id: int
    overrides: tuple[str, ...]
    config: dict[str, Any]


@dataclass
class Draft:
    """The state between passes. `nodes` is in dependency order from the `artifacts` pass on.

    root: the project root, where relative paths start. code: where the code roots are read; snapshot.code names them
    as declared. rev: pinned git address that the project is read from, "" for the files on disk. files: config files
    read -> digest. composition: None when the draft came from the graph cache. cached: whether what earlier
    compilations left on disk may be used.
    contents: source URI -> digest of each file, where its identity tells it.
    held: data revisions that `mldlc.lock` pins -> commit.
    seen: what the passes looked at beyond the composition, so that a cache can tell whether to trust them.
    """

    ask: CompileRequest
    snapshot: Snapshot
    root: Path
    code: tuple[Path, ...] = ()
    rev: str = ""
    composition: Composition | None = None
    points: tuple[DraftPoint, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    outputs: Path = Path("outputs")
    name: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    typed: dict[int, dict[str, tuple[Typed, dict[str, Any]]]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    contents: dict[str, tuple[str, ...]] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    previous: Plan | None = None
    plan: Plan | None = None
    cached: bool = True
    held: dict[str, str] = field(default_factory=dict)
    seen: Ledger = field(default_factory=Ledger)

    def locate(self, key: str, point: int = 0) -> Location | None:
        """file:line of a config key. Raises NeedsConfig on a cached draft."""
        if self.composition is None:
            raise NeedsConfig
        return self.composition.points[point].provenance.locate(key)
