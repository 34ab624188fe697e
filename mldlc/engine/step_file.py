"""`step.json`, all that a worker is told about a step: digests, never paths of artifacts: no shared disk is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldlc.plan.codec import decode, encode, ordered
from mldlc.plan.plan import Plan
from mldlc.plan.step import Source, Step

FORMAT = "mldlc.step/1"


@dataclass(frozen=True)
class BoundItem:
    """One artifact under an input port. type: of the artifact itself, which may be narrower than the port's."""

    label: str
    type: str
    digest: str


@dataclass(frozen=True)
class BoundInput:
    """An input port with its artifacts."""

    arity: str
    items: tuple[BoundItem, ...] = ()


@dataclass(frozen=True)
class Setting:
    """What is the same for all steps of a run. approvals: folders in order. roots: live code root -> frozen copy.

    provenance: the lineage keys that a commit of this run carries. pins: versioned address that
    no lock holds -> the commit it is read at.
    lakefs: how sources reach the server; keys are references.
    """

    run: str
    plan: str
    outputs: str
    threads: int
    approvals: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    lakefs: dict[str, str] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StepFile:
    """The order to execute one key. params: formal group -> values (secrets as references)."""

    step: str
    stage: str
    kind: str
    version: int
    impl: str
    key: str
    recipe: str
    identity: str
    code: str
    setting: Setting
    purity: str = "pure"
    forced: bool = False
    params: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, BoundInput] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)
    lineage: tuple[dict[str, Any], ...] = ()
    stamps: tuple[str, ...] = ()
    "What the source files looked like just before they were hashed."
    contents: dict[str, str] = field(default_factory=dict)
    "Source file -> digest of its bytes, where the identity of the source tells it."
    predicted: int = 0
    "Bytes that the outputs are expected to take, 0 when unknown."
    format: str = FORMAT

    def tokens(self) -> dict[str, str]:
        """Source URI -> token."""
        return {source.uri: source.token or "" for source in self.sources}


def bind(steps: Mapping[str, Step], step: Step, digests: Mapping[str, Mapping[str, str]]) -> dict[str, BoundInput]:
    """Inputs of a step from the digests of finished steps; KeyError (step, port) when one is not there."""
    bound = {}
    for port, item in step.inputs.items():
        found = []
        for ref in item.refs:
            if step.partial and item.arity != "one" and ref.step not in digests:
                continue  # its step failed
            digest = digests[ref.step].get(ref.port)
            if digest is None:
                raise KeyError(ref.step, ref.port)
            found.append(BoundItem(ref.label, steps[ref.step].outputs.get(ref.port, item.type), digest))
        bound[port] = BoundInput(item.arity, tuple(found))
    return bound


def forced(step: Step) -> bool:
    """Whether an existing record of the key does not count."""
    return any(reason.code in ("forced", "always") for reason in step.reasons) or any(
        source.identity == "always" for source in step.sources
    )


def order(
    plan: Plan,
    step: Step,
    key: str,
    inputs: dict[str, BoundInput],
    sources: tuple[Source, ...],
    lineage: tuple[dict[str, Any], ...],
    setting: Setting,
) -> StepFile:
    """The step file of one execution."""
    return StepFile(
        step=step.id, stage=step.stage, kind=step.kind, version=step.version, impl=step.impl, key=key,
        recipe=step.recipe, identity=step.identity, code=step.code, setting=setting, purity=step.purity,
        forced=forced(step), params=plan.blobs.get(step.params) or {},
        inputs=inputs, outputs=step.outputs, sources=sources, packages=step.packages, lineage=lineage,
        predicted=(step.cost.bytes or 0) if step.cost else 0,
    )  # fmt: skip


def stamp(path: str) -> str:
    """Size, times and inode of a source file as one text: a cheap proof that nobody wrote to it."""
    try:
        stat = Path(path).stat()
    except OSError:
        return f"{path}: gone"
    return f"{path}: {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def write(file: StepFile, path: Path) -> None:
    """Write it as JSON; the order of keys in config values is kept."""
    path.write_bytes(ordered(encode(file)))


def read(path: Path) -> StepFile:
    """Read `mldlc.step/1`."""
    import json

    data = json.loads(path.read_bytes())
    if data.get("format") != FORMAT:
        raise ValueError(f"{path} is not a {FORMAT} file")
    return decode(StepFile, data)
