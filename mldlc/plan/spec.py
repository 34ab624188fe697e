"""The step contract: what a kind of step takes, gives, reads and needs. Shipped steps and users' steps use the same.

A room's `spec.py` builds `StepSpec`s; the implementation is a string, imported in a worker only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mldlc.plan.artifact import ArtifactType
from mldlc.plan.source import SourceRef

Arity = Literal["one", "optional", "many", "some"]
Purity = Literal["pure", "effect", "gate"]
Process = Literal["inline", "light", "fresh"]


@dataclass(frozen=True)
class Port:
    """An input of a step: the artifact type that fits, and how many of them."""

    type: ArtifactType
    arity: Arity = "one"


def port(type: ArtifactType) -> Port:
    """Exactly one artifact; a missing producer is a compile error."""
    return Port(type, "one")


def optional(type: ArtifactType) -> Port:
    """One artifact or none (the implementation then finds None)."""
    return Port(type, "optional")


def many(type: ArtifactType) -> Port:
    """Any number of artifacts, labelled (sweep points, partitions); the implementation finds a dict."""
    return Port(type, "many")


def some(type: ArtifactType) -> Port:
    """As `many`, and at least one; none is a compile error."""
    return Port(type, "some")


@dataclass(frozen=True)
class Resources:
    """What one execution occupies.

    `process`: `inline` runs in the scheduler (stdlib built-ins only), `light` in a shared worker, `fresh` in a
    pre-imported process used for one such step. `preload` are modules worth importing before the step starts.
    `memory` in bytes, None when unknown.
    """

    cpu: int = 1
    gpu: int = 0
    memory: int | None = None
    process: Process = "light"
    preload: tuple[str, ...] = ()


@dataclass(frozen=True)
class StepSpec:
    """One kind of step.

    kind: dotted name, unique. version: raised by hand when the meaning changes in a way that code cannot show.
    reads: formal config group -> its schema (a pydantic model or a discriminated union of them). A stage may point a
    formal group at another subtree (`config: {model: teacher}`).
    impl: "module:function", called in a worker as `run(ctx, cfg, inputs)`; `cfg.<group>` is the validated schema.
    needs: Resources, or a function of the validated config giving them.
    sources: for steps that read the outside world: validated config -> what they read.
    observe: for effects, "module:function" with `observe(cfg, outputs_root) -> dict | None`: light, gives the state
    that stands outside; its "key" entry is compared with the step's key.
    items: for steps that map their source files, "module:function" with `items(params, digests, find)`: light, gives
    (name of the mapped function, item) of every partition, or None where that cannot be told; see `Context.map`.
    check: for steps that read local files, "module:function" with `check(params, paths)`: light, gives the StepErrors
    that the plan can tell already; asked only where the step would run.
    decide: for gates, "module:function" with `decide(params, tokens, read) -> (bool | None, str)`: light, gives what
    the plan can tell already, and why. False: what hangs on it is left out. tokens: of its sources; read: (input port,
    file of its artifact) -> the JSON document in it, None while that is not known.
    components: formal group -> {kind value -> module}: the chosen module joins the code hash.
    code: extra files or modules that imports cannot show. lineage: the key also holds the recipes upstream.
    describe: validated config -> one line that the plan shows beside the stage (what a gate decides by, say).
    nondeterministic: output ports whose bytes may differ between equal runs, or a function of the validated config.
    advise: "module:function" with `advise(params, outlook) -> Advice`: light, says in the plan what can be told of a
    step that would run, and picks placement values, from what is known of its inputs; see `mldlc.plan.advice`.
    measures: validated config -> names of the numbers on validation rows that its summary can hold ("val_loss",
    "val.auroc"), or None where the config does not tell: what a search may ask for.
    """

    kind: str
    version: int
    impl: str
    inputs: Mapping[str, Port] = field(default_factory=dict)
    outputs: Mapping[str, ArtifactType] = field(default_factory=dict)
    reads: Mapping[str, Any] = field(default_factory=dict)
    needs: Resources | Callable[[Any], Resources] = Resources()
    purity: Purity = "pure"
    packages: tuple[str, ...] = ()
    sources: Callable[[Any], tuple[SourceRef, ...]] | None = None
    observe: str = ""
    items: str = ""
    check: str = ""
    decide: str = ""
    components: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    lineage: bool = False
    nondeterministic: tuple[str, ...] | Callable[[Any], tuple[str, ...]] = ()
    describe: Callable[[Any], str] | None = None
    advise: str = ""
    measures: Callable[[Any], tuple[str, ...] | None] | None = None
    doc: str = ""
