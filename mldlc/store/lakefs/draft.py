"""Drafts on lakeFS: a hidden branch for each run. Outputs are written beside it and uploaded when it is committed."""

from __future__ import annotations

import shutil
import tempfile
import uuid
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mldlc.plan.versions import Commit, Entry, NothingToCommit, Strategy, VersionsError
from mldlc.store.durable import each
from mldlc.store.lakefs.client import ApiError
from mldlc.store.lakefs.listing import find_entries, iter_entries
from mldlc.store.lakefs.repository import PAGE, Repository, to_commit, with_token
from mldlc.store.lakefs.transfer import Upload, prepare, send_all
from mldlc.store.versions.entries import check_path, check_removal
from mldlc.store.versions.names import RUN_BRANCH, check_run
from mldlc.store.versions.publish import publish

if TYPE_CHECKING:
    from mldlc.store.lakefs.versions import LakeFSVersions


def open_draft(versions: LakeFSVersions, base: str, run: str) -> LakeFSDraft:
    """Begin the draft of a run at a ref, or go on with the branch that it has, less what was not committed."""
    repository, branch = versions.repository, RUN_BRANCH + check_run(run)
    if repository.has("branches", branch):
        repository.put("branches", branch, body={"type": "reset"})
        return LakeFSDraft(versions, run, *_state(repository, branch, run))
    commit = versions.resolve(base)
    if repository.create_branch(branch, commit, hidden=True):
        return LakeFSDraft(versions, run, commit, commit)
    return LakeFSDraft(versions, run, *_state(repository, branch, run))  # made by somebody else in this moment


def _state(repository: Repository, branch: str, run: str) -> tuple[str, str]:
    """Base and head of a run branch: the base is the newest commit that the draft did not make."""
    head = ""
    for id, ours in repository.marked(branch, _mark(run)):
        head = head or id
        if not ours:
            return id, head
    raise VersionsError(f"branch {branch} has no commit that the draft of run {run!r} began from")


def _mark(run: str) -> str:
    return f"draft:{run}:"


class LakeFSDraft:
    """The draft of one run; see `mldlc.plan.versions.Draft`. The server does not lock it: one writer is up to the run.

    Bytes that were uploaded and not committed stay in the object store until lakeFS's own garbage collection.
    """

    def __init__(self, versions: LakeFSVersions, run: str, base: str, head: str) -> None:
        self.versions, self.run = versions, run
        self.branch = RUN_BRANCH + run
        self._base, self.head = base, head
        self._folder: Path | None = None
        self._open = True

    @property
    def base(self) -> str:
        """The commit id it began from."""
        return self._base

    def path(self, name: str) -> Path:
        """As the port; its folder is made. The file that is there when the draft is committed is uploaded."""
        check_path(name)
        path = self._files / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VersionsError(f"cannot write {name!r} in a draft: {error.strerror}; use `put`") from None
        if path.is_dir():
            raise VersionsError(f"cannot write {name!r} in a draft: it holds other files below {name}/; use `put`")
        return path

    def put(self, name: str, source: Path, *, take: bool = False, digest: str = "", media: str = "") -> Entry:
        """As the port; `take` does nothing here. VersionsError: no such file, or (when it is sent) another digest."""
        self._check_open()
        check_path(name)
        item = prepare(name, source, media, digest)
        self._forget(name)
        return self._send([item])[0]

    def put_many(
        self, files: Mapping[str, str | Path], *, take: bool = False, digests: Mapping[str, str] | None = None
    ) -> list[Entry]:
        """As the port; files whose bytes are on the branch already are not sent again."""
        self._check_open()
        for name in files:
            check_path(name)
        known = digests or {}
        items = each(lambda pair: prepare(pair[0], Path(pair[1]), digest=known.get(pair[0], "")), list(files.items()))
        for name in files:
            self._forget(name)
        return self._send(items)

    def remove(self, name: str) -> None:
        """As the port; what was put there before in this draft goes too. A name that is not there is fine."""
        self._check_open()
        check_removal(name)
        self._forget(name)
        paths = [name]
        if name.endswith("/"):
            paths = [entry.path for entry in iter_entries(self._repository, self.branch, name)]
        for start in range(0, len(paths), PAGE):
            body = {"paths": paths[start : start + PAGE]}
            answer = self._repository.post("branches", self.branch, "objects", "delete", body=body)
            for trouble in answer["errors"]:
                raise VersionsError(f"cannot remove {trouble.get('path', name)!r}: {trouble['message']}")

    def commit(self, message: str, metadata: Mapping[str, str], *, allow_empty: bool = False) -> Commit:
        """As the port. After a failure it can be called again: what was uploaded is not sent twice."""
        token = _mark(self.run) + uuid.uuid4().hex
        body = {"message": message, "metadata": with_token(metadata, token), "allow_empty": allow_empty}
        self._check_open()
        if self._folder is not None:
            folder = self._folder
            self._send(each(lambda name: prepare(name, folder / name), _names(folder)))
        try:
            row = self._repository.post(
                "branches", self.branch, "commits", body=body, recover=lambda: self._find_row(token)
            )
        except ApiError as error:
            if error.status != 400 or self._is_dirty():
                raise
            row = None
        self._clear()
        if row is None:
            raise NothingToCommit(f"the draft of run {self.run!r} changes nothing")
        commit = row if isinstance(row, Commit) else to_commit(row)
        self.head = commit.id
        return commit

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
        """As the port. Where another merge comes between the check of `reads` and this one, this one is undone.

        lakeFS has no expected head: such a merge is seen by readers of the branch for a moment. A branch that only
        one run publishes to at a time never has one.
        """
        self._check_open()
        if (self._folder is not None and _names(self._folder)) or self._is_dirty():
            raise VersionsError(f"the draft of run {self.run!r} has changes that are not committed; commit first")
        commit = publish(
            self.versions,
            self.head,
            into,
            base=self._base,
            run=self.run,
            reads=reads or {},
            metadata=metadata or {},
            message=message,
            strategy=strategy,
            tag=tag,
        )
        self._drop()
        return commit

    def abandon(self) -> None:
        """As the port. A second call does nothing."""
        if self._open:
            self._drop()

    @property
    def _repository(self) -> Repository:
        return self.versions.repository

    @property
    def _files(self) -> Path:
        """The folder of outputs in the making, made on first use."""
        self._check_open()
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mldlc-draft-", dir=self.versions.work))
            weakref.finalize(self, shutil.rmtree, self._folder, True)
        return self._folder

    def _check_open(self) -> None:
        if not self._open:
            raise VersionsError(f"the draft of run {self.run!r} is closed: it was published or abandoned")

    def _send(self, items: list[Upload]) -> list[Entry]:
        """Upload what the branch does not hold yet, in this draft or in its base."""
        known = find_entries(self._repository, self.branch, sorted(item.path for item in items))
        wanted = [Entry(item.path, item.digest, item.size, item.media) for item in items]
        missing = [item for item, entry in zip(items, wanted, strict=True) if known.get(item.path) != entry]
        if missing:
            presign = "presign" in self.versions.caps
            send_all(self._repository, self.branch, missing, presign=presign, progress=self.versions.progress)
        return wanted

    def _forget(self, name: str) -> None:
        """Drop what was written in the draft under a name that is put or removed now."""
        if self._folder is None:
            return
        path = self._folder / name
        if name.endswith("/"):
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file():
            path.unlink()

    def _find_row(self, token: str) -> Any:
        return self._repository.find_recent(self.branch, token)

    def _is_dirty(self) -> bool:
        return bool(self._repository.get("branches", self.branch, "diff", query={"amount": 1})["results"])

    def _clear(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _drop(self) -> None:
        self._check_open()
        try:
            self._repository.delete("branches", self.branch)
        except ApiError as error:
            if error.status != 404:
                raise
        self._clear()
        self._open = False


def _names(root: Path) -> list[str]:
    """Paths of the files below a folder, sorted. VersionsError for a link or a device."""
    found = []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise VersionsError(f"{name} in the draft is not a regular file; write a regular file")
        if path.is_file():
            check_path(name)
            found.append(name)
    return found
