"""A step of a plan: one node, fully described by data; the engine needs nothing else to execute it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from mldlc.plan.reason import Reason
from mldlc.plan.source import SourceRef
from mldlc.plan.spec import Arity, Purity, Resources

Action = Literal["reuse", "run", "maybe", "apply", "in place", "gate", "skip"]


@dataclass(frozen=True)
class InputRef:
    """Where one input comes from: output `port` of step `step`. `label` tells the artifacts of a `many` port apart."""

    step: str
    port: str
    label: str = ""


@dataclass(frozen=True)
class Input:
    """A bound input port."""

    type: str
    arity: Arity = "one"
    refs: tuple[InputRef, ...] = ()


@dataclass(frozen=True)
class Source:
    """An observed outside source. token None: not known before the step runs (too large to hash while planning).

    commit: what a versioned source (`store://`, `lakefs://`) was pinned to; its files are read there. root: as in
    `SourceRef`. held: `mldlc.lock` says so, and the branch may be elsewhere by now.
    """

    uri: str
    name: str
    paths: tuple[str, ...] = ()
    identity: str = "content"
    token: str | None = None
    commit: str = ""
    root: str = ""
    held: bool = False

    def ref(self) -> SourceRef:
        """What to look at for its identity now."""
        return SourceRef(self.uri, self.name, self.paths, self.identity, root=self.root)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Cost:
    """Predicted cost of running the step, from past records of the same kind; None is unknown."""

    seconds: float | None = None
    memory: int | None = None
    bytes: int | None = None


@dataclass(frozen=True)
class Step:
    """One node.

    id: unique in the plan and stable for equal recipes. params: digest of the blob with the validated config per
    formal group (all roles; what the worker gets). identity: digest of the blob with the hashed values only.
    code: digest of the blob {module or file: digest} of the import closure. packages: name -> version part in the key.
    recipe: static Merkle hash. key: cache key, None until the input digests are known.
    groups: formal group -> config path, where they differ.
    partial: whether its `many` and `optional` ports do without artifacts whose step failed, when the run keeps going.
    advice: what the kind told of this step, for programs; `note` has it in words.
    digests: output port -> content digest, where known (reuse). evicted: outputs known, bytes gone, nobody needs them.
    """

    id: str
    stage: str
    kind: str
    version: int
    impl: str
    recipe: str
    params: str
    identity: str
    code: str
    purity: Purity = "pure"
    inputs: dict[str, Input] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    needs: Resources = field(default_factory=Resources)
    scope: str = "point"
    points: tuple[int, ...] = ()
    lineage: bool = False
    observe: str = ""
    nondeterministic: tuple[str, ...] = ()
    key: str | None = None
    digests: dict[str, str] = field(default_factory=dict)
    evicted: bool = False
    action: Action = "run"
    reasons: tuple[Reason, ...] = ()
    cost: Cost | None = None
    note: str = ""
    advice: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    partial: bool = False

    def upstream(self) -> list[str]:
        """Ids of the steps whose outputs this one takes, in port order, without repeats."""
        return list(dict.fromkeys(ref.step for item in self.inputs.values() for ref in item.refs))


Params = dict[str, Any]
