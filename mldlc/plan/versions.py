"""The port of data versions: what lakeFS and the embedded store both give. Values and protocols, no implementation.

A ref is a branch, a tag, a commit id, or one of these with `~n` (n-th first parent). A path has "/" and no leading one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, Protocol

Strategy = Literal["none", "source-wins", "dest-wins"]
ChangeKind = Literal["added", "changed", "removed", "conflict", "prefix_changed"]


class Entry(NamedTuple):
    """One file of a commit. digest: BLAKE3-256 hex of its bytes (lakeFS: from our metadata, else `etag:…`)."""

    path: str
    digest: str
    size: int
    media: str = ""


class Change(NamedTuple):
    """One difference. left, right: the entry on each side, None where absent; both None for `prefix_changed`."""

    kind: ChangeKind
    path: str
    left: Entry | None = None
    right: Entry | None = None


@dataclass(frozen=True)
class Commit:
    """One commit. tree: id of all its data (equal id <=> equal data); time: seconds since the epoch."""

    id: str
    tree: str
    parents: tuple[str, ...]
    message: str
    metadata: Mapping[str, str]
    time: float
    committer: str


@dataclass(frozen=True)
class Source:
    """What `pl.scan_*` takes: explicit files at a pinned commit, their logical paths beside them, and the options.

    The options may hold keys: they are in no repr, and belong in no plan, record or log. digests: of the bytes of each
    file, where the store knows them all.
    """

    paths: tuple[str, ...]
    logical: tuple[str, ...]
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    digests: tuple[str, ...] = ()


class VersionsError(Exception):
    """Base of what a version store refuses; the message is for a person."""


class RefNotFound(VersionsError):
    """No branch, tag or commit of that name."""


class RefExists(VersionsError):
    """The branch or tag is there already."""


class PathNotFound(VersionsError):
    """The commit has no such path."""


class InvalidPath(VersionsError):
    """No file of a commit can have that path: relative, "/" between, no empty, "." or ".." part, UTF-8, 1024 bytes."""


class InvalidName(VersionsError):
    """No branch, tag or run can have that name."""


class DataExpired(VersionsError):
    """The commit is known and its data was collected by the keep policy."""


class NothingToCommit(VersionsError):
    """The draft equals its base and `allow_empty` was not given."""


class Unavailable(VersionsError):
    """The server did not answer, or answered 429/5xx, through all retries."""


class Denied(VersionsError):
    """No or wrong credentials, no permission, or a protected branch or hook that refused."""


class Conflict(VersionsError):
    """A merge in which both sides changed these paths, differently."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = tuple(sorted(paths))
        shown = ", ".join(self.paths[:5]) + (f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else "")
        super().__init__(f"both sides changed {shown}")


class StaleRead(VersionsError):
    """The branch moved under a prefix that was read: the result must be planned again, not merged."""

    def __init__(self, prefix: str, seen: str, found: str) -> None:
        self.prefix, self.seen, self.found = prefix, seen, found
        super().__init__(f"{prefix or 'the whole branch'} changed since it was read")


class Versions(Protocol):
    """One repository of versioned files."""

    @property
    def caps(self) -> frozenset[str]:
        """What this store can do beyond the port: "local-paths" "s3" "presign" "hooks" "import" "gc" "verify"."""
        ...

    @property
    def uri(self) -> str:
        """`store://` or `lakefs://<repo>`: the start of every dataset name."""
        ...

    def resolve(self, ref: str) -> str:
        """The commit id of a ref. RefNotFound with the nearest names in its message."""
        ...

    def commit(self, ref: str) -> Commit:
        """The commit that a ref stands for."""
        ...

    def branches(self) -> dict[str, str]:
        """Branch -> commit id, sorted, hidden run branches left out."""
        ...

    def tags(self) -> dict[str, str]:
        """Tag -> commit id, sorted."""
        ...

    def entries(self, ref: str, prefix: str = "", *, after: str = "") -> Iterator[Entry]:
        """Entries whose path starts with `prefix` (a string prefix, as in lakeFS) after path `after`, by path."""
        ...

    def entry(self, ref: str, path: str) -> Entry:
        """One entry. PathNotFound."""
        ...

    def digest(self, ref: str, prefix: str = "") -> str:
        """One digest over (path, digest, size) of all entries under a prefix: what a reader of it depends on."""
        ...

    def partitions(self, ref: str, prefix: str = "") -> dict[str, str]:
        """First path segment below `prefix` (with its "/"; a file: its name) -> digest over (path, digest, size)."""
        ...

    def diff(
        self, left: str, right: str, prefix: str = "", *, three_dot: bool = False, depth: int | None = None
    ) -> Iterator[Change]:
        """Changes from left to right, by path. three_dot: from their merge base to right, `conflict` where left changed
        too. depth=1: one `prefix_changed` for each changed folder below `prefix`, changes for files directly in it."""
        ...

    def log(
        self, ref: str, prefix: str = "", *, limit: int | None = None, first_parent: bool = False
    ) -> Iterator[Commit]:
        """Commits from a ref back, newest first; with a prefix those that changed something under it."""
        ...

    def merge_base(self, left: str, right: str) -> str:
        """The best common ancestor's commit id. RefNotFound when there is none."""
        ...

    def source(self, ref: str, glob: str = "**") -> Source:
        """Files whose path matches a glob, ready for `pl.scan_*`. PathNotFound when none does."""
        ...

    def open(self, ref: str, path: str) -> BinaryIO:
        """A stream of one file's bytes; flat memory."""
        ...

    def branch(self, name: str, ref: str) -> None:
        """Make a branch at a ref. RefExists, InvalidName."""
        ...

    def delete_branch(self, name: str) -> None:
        """Remove a branch; its commits stay while something else reaches them. RefNotFound; Denied for `main`."""
        ...

    def tag(self, name: str, ref: str) -> None:
        """Make a tag, once and for all. RefExists unless it is there at the same commit; InvalidName."""
        ...

    def delete_tag(self, name: str) -> None:
        """Remove a tag. RefNotFound."""
        ...

    def merge(
        self,
        source: str,
        into: str,
        *,
        message: str = "",
        metadata: Mapping[str, str] | None = None,
        strategy: Strategy = "none",
    ) -> Commit:
        """3-way merge of a ref into a branch; its head where there is nothing to merge. Conflict."""
        ...

    def revert(self, branch: str, ref: str, *, message: str = "", metadata: Mapping[str, str] | None = None) -> Commit:
        """A new commit on a branch that undoes one commit (a merge: against its first parent). Conflict."""
        ...

    def draft(self, base: str, *, run: str) -> Draft:
        """A private branch at a ref for one run to write on. Its commits can be read at `mldlc-run-<run>`.

        The same run's unfinished draft is continued from its last commit, whatever `base` says; what was written and
        not committed is dropped, since it may be half a file. VersionsError while another process holds the draft.
        """
        ...


class Draft(Protocol):
    """What a run writes before it is visible. Kept when the run fails; `abandon` or gc removes it."""

    @property
    def base(self) -> str:
        """The commit id it began from."""
        ...

    def path(self, name: str) -> Path:
        """Where to write a new file that then becomes `name` without a copy (embedded) or is uploaded (lakeFS)."""
        ...

    def put(self, name: str, source: Path, *, take: bool = False, digest: str = "", media: str = "") -> Entry:
        """Take an outside file: reflink or copy+hash, hardlink only with `take`; a known digest moves nothing."""
        ...

    def put_many(
        self, files: Mapping[str, str | Path], *, take: bool = False, digests: Mapping[str, str] | None = None
    ) -> list[Entry]:
        """`put` for many files, several at a time. digests: of those names whose digest is known."""
        ...

    def remove(self, name: str) -> None:
        """Leave a path out of the next commit; a name that ends with "/" leaves out all below it."""
        ...

    def commit(self, message: str, metadata: Mapping[str, str], *, allow_empty: bool = False) -> Commit:
        """All that was written and removed, as one commit on the draft. NothingToCommit."""
        ...

    def publish(
        self,
        into: str,
        *,
        reads: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        message: str = "",
        strategy: Strategy = "none",
        tag: str = "",
    ) -> Commit:
        """Merge the draft into a branch, with `metadata` on the merge commit too, then tag, then drop the draft.

        reads: prefix -> `Versions.digest` of it as it was read: another digest at the head is a StaleRead, and nothing
        is merged. Idempotent: when the branch already has a merge of this run, that one is returned; when the draft
        changes nothing on the branch, its head is. Conflict; VersionsError while something is written, not committed.
        """
        ...

    def abandon(self) -> None:
        """Remove the draft and what only it holds."""
        ...
