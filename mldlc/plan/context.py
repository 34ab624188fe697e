"""What a step's implementation may ask of the engine while it runs: `run(ctx, cfg, inputs)`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from mldlc.plan.versions import Source, Versions

T = TypeVar("T")


class Context(Protocol):
    """The engine's side of a step. Everything written under `out()` is taken into the store when `run` returns."""

    stage: str
    key: str
    run: str
    "Id of the run that executes the step; for effects, never part of a pure result."
    threads: int
    "CPU threads for data work: `executor.threads`, else the machine's CPUs. (Training has its own `trainer.threads`.)"
    sources: tuple[Mapping[str, Any], ...]
    "The observed sources of the plan: {uri, name, paths, identity, token, commit, digests}; a digest a file, or none."
    lineage: Sequence[Mapping[str, Any]]
    "Steps upstream in order: {id, stage, kind, recipe, key, config, inputs, outputs}; filled for lineage specs only."
    log: logging.Logger
    scratch: Path
    "A folder of this key that survives a crash (checkpoints); removed when the step commits."
    temp: Path
    "A folder for this execution only, on the store's file system."
    outputs: Path
    "The outputs root; only effects write under it."
    rank: int
    "Which of `world` processes this is; 0 of 1 outside of `ranks`."
    world: int

    def out(self, port: str) -> Path:
        """The empty directory that becomes the artifact of this output port."""
        ...

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Report progress to the journal; cheap to call often (rate-limited)."""
        ...

    def metric(self, name: str, value: float, step: int) -> None:
        """Report one live number (a loss, a validation score) to the journal."""
        ...

    def summary(self, facts: Mapping[str, Any]) -> None:
        """Add small flat facts (metrics, row counts) to the record, for views; not part of any artifact."""
        ...

    def intact(self, path: Path) -> bool:
        """Whether a source file still looks as it did when its digest was told; of any other file, True."""
        ...

    def cancelled(self) -> bool:
        """Whether the run was asked to stop; a step that can checkpoint should, then raise `Cancelled`."""
        ...

    def source(self, uri: str, *, local: bool = False) -> Source:
        """The files of a versioned source at its pinned commit, for `pl.scan_*`. local: as local files in any case."""
        ...

    def versions(self, repository: str) -> Versions:
        """For effects: the repository of versioned data at `store://` or `lakefs://<name>`."""
        ...

    @property
    def pins(self) -> Mapping[str, str]:
        """For effects: every versioned address that the plan reads -> the commit it was pinned to."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """For effects: the lineage keys of a commit (`mldlc.run`, `mldlc.plan`, `mldlc.inputs` and so on)."""
        ...

    def approval(self, digest: str) -> Mapping[str, Any] | None:
        """For gates: the answer of a person to exactly this evidence {decision, by, at, why}, or None."""
        ...

    def map(self, items: Sequence[tuple[str, T]], fn: Callable[[str, T, Path], None]) -> Mapping[str, Path]:
        """Run `fn(name, item, out_dir)` for each item, one cached record an item. Gives name -> directory.

        An item is known by its `digest` entry where it is a mapping with one, else by its name and its canonical JSON:
        whatever `fn` reads besides the step's config (another input, the name too) must be part of that.
        """
        ...

    def ranks(self, count: int, entry: str, preload: Sequence[str] = ()) -> None:
        """Run `entry` ("module:function", called like the step's implementation) in `count` processes of torchrun.

        Each has torchrun's environment and a context of its own with its `rank`. Rank 0 speaks for the step: its
        events, its summary and what it writes under `out()` count; scratch is one folder for all. What fails in a
        rank fails here, and a request to stop reaches every rank's `cancelled()`, not all at the same moment.
        preload: modules that are imported once for all ranks, besides that of the entry.
        """
        ...

    def adopt(self, port: str, name: str, path: Path) -> None:
        """Make a file of an input artifact or of `map` the file `name` of an output, without reading or copying it."""
        ...


class StepError(Exception):
    """A failure that the user can mend: shown as one message, without a traceback.

    where: the config key, file or row at fault, if known. hint: how to mend it.
    """

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message, self.where, self.hint = message, where, hint


class GateWaiting(Exception):
    """Raised by a gate that a person must answer. evidence: JSON shown in the request; digest: what it binds to."""

    def __init__(self, evidence: Mapping[str, Any], digest: str) -> None:
        super().__init__("waits for a decision")
        self.evidence, self.digest = dict(evidence), digest


class GateRejected(Exception):
    """Raised by a gate whose decision is no, by rule or by a person; ends the run with status `rejected`."""

    def __init__(self, why: str, evidence: Mapping[str, Any], digest: str) -> None:
        super().__init__(why)
        self.why, self.evidence, self.digest = why, dict(evidence), digest


class NotDue(Exception):
    """Raised by a gate that nothing need pass now: what hangs on it is left out, and the run is fine."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Cancelled(Exception):
    """Raised by a step that stopped because the run was asked to stop; it is resumable."""


class TransientError(Exception):
    """A failure that may pass by itself (a connection, a busy server): the engine retries it."""
