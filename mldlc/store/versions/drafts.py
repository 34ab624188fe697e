"""Drafts of the embedded store: a folder of one run on the store's file system, whose files move into the objects.

drafts/<run>/: draft.json (base, who, since when), head (id of its last commit), files/ (outputs in the making),
stage/ (outside files, taken and waiting for the commit).
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mldlc.plan.codec import canonical
from mldlc.plan.versions import Commit, DataExpired, Entry, NothingToCommit, RefNotFound, Strategy, VersionsError
from mldlc.store.durable import replace_file, sync_folders, temporary_name
from mldlc.store.layout import Store
from mldlc.store.leases import Lease, holder, try_acquire
from mldlc.store.statcache import StatCache
from mldlc.store.versions.draft_state import FORMAT, LEASE, DraftState, read_draft
from mldlc.store.versions.entries import check_path, check_paths, check_removal
from mldlc.store.versions.ingest import take_copy, take_link, take_many, take_output
from mldlc.store.versions.names import check_run
from mldlc.store.versions.publish import publish
from mldlc.store.versions.taken import Taken, file_info, object_size, settle
from mldlc.store.versions.trees import apply_changes, iter_entries, open_tree

if TYPE_CHECKING:
    from mldlc.store.versions.embedded import EmbeddedVersions

FEW, MANY = 64, 8  # put_many looks up what is there for that many files, in a commit of at most so many times more
_open: weakref.WeakValueDictionary[tuple[str, str], EmbeddedDraft] = weakref.WeakValueDictionary()


def open_draft(versions: EmbeddedVersions, base: str, run: str) -> EmbeddedDraft:
    """Begin the draft of a run at a ref, or go on with the one that it has. Errors as `Versions.draft`."""
    store = versions.store
    folder = store.root / "drafts" / check_run(run)
    lease = _lease(store, run)
    begun = None
    try:
        state = begun = read_draft(store, run)
        if state is None:
            commit = versions.live(base).id
            state = DraftState(commit, commit)
        for name in ("files", "stage"):
            shutil.rmtree(folder / name, ignore_errors=True)
            (folder / name).mkdir(parents=True, exist_ok=True)
        owner = {"pid": os.getpid(), "host": os.uname().nodename, "started": round(time.time(), 3)}
        data = canonical({"format": FORMAT, "run": run, "base": state.base, **owner})
        replace_file(store.work / temporary_name("draft"), folder / "draft.json", data, 0o644)
        sync_folders([folder.parent])
        versions.check_live(versions.commits.read(state.head))  # once the collection can see that we need it
        return EmbeddedDraft(versions, run, state, lease)
    except BaseException as error:
        if begun is None and isinstance(error, DataExpired | RefNotFound):
            shutil.rmtree(folder, ignore_errors=True)  # collected in this moment: the run begins elsewhere
        lease.release()
        raise


def _lease(store: Store, run: str) -> Lease:
    """The lease of a run's draft; taken over from a draft object of this process."""
    here = _open.pop((str(store.root), run), None)
    lease = here.give_up() if here is not None else None
    lease = lease or try_acquire(store, LEASE + run, {"pid": os.getpid(), "host": os.uname().nodename, "run": run})
    if lease is None:
        owner = holder(store, LEASE + run) or {}
        who = f"process {owner.get('pid', '?')} on {owner.get('host', '?')}"
        raise VersionsError(f"the draft of run {run!r} is being written by {who}; wait for it, or use another run name")
    return lease


class EmbeddedDraft:
    """The draft of one run; see `mldlc.plan.versions.Draft`. Only one object at a time writes a draft."""

    def __init__(self, versions: EmbeddedVersions, run: str, state: DraftState, lease: Lease) -> None:
        self.versions, self.run = versions, run
        self._base, self.head = state
        self._folder = versions.store.root / "drafts" / run
        self._lease: Lease | None = lease
        self._lock = threading.Lock()
        self._taken: dict[str, tuple[Taken, str]] = {}  # path -> its bytes and media type
        self._removed: list[str] = []
        _open[str(versions.store.root), run] = self
        self._finalizer = weakref.finalize(self, lease.release)

    @property
    def base(self) -> str:
        """The commit id it began from."""
        return self._base

    def path(self, name: str) -> Path:
        """As the port; its folder is made. The file that is there when the draft is committed counts."""
        check_path(name)
        path = self._files / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise VersionsError(f"cannot write {name!r} in a draft: {error.strerror}; use `put`") from error
        if path.is_dir():
            raise VersionsError(f"cannot write {name!r} in a draft: it holds other files below {name}/; use `put`")
        return path

    def put(self, name: str, source: Path, *, take: bool = False, digest: str = "", media: str = "") -> Entry:
        """As the port. VersionsError: no such file, it is being written, or its bytes have another digest."""
        check_path(name)
        store, source = self.versions.store, Path(source)
        if digest:
            present = object_size(store, digest)
            if present is not None and (not source.exists() or source.stat().st_size == present):
                return self._keep(name, Taken("", digest, present), media)  # else cut by a crash: the source mends it
        target = self._stage / temporary_name("file")
        taken = (take_link if take else take_copy)(store, os.fspath(source), str(target))
        if digest and taken.digest != digest:
            target.unlink(missing_ok=True)
            raise VersionsError(f"{source} has digest {taken.digest}, not {digest} as was said")
        return self._keep(name, taken, media)

    def put_many(
        self, files: Mapping[str, str | Path], *, take: bool = False, digests: Mapping[str, str] | None = None
    ) -> list[Entry]:
        """As the port. A file that has not changed since it was put last is not read again."""
        check_paths(list(files))
        store, stage = self.versions.store, str(self._stage)
        seen = StatCache(store.root / "cache" / "ingest.json")
        work = take_link if take else take_copy
        held, told = self._held(list(files)), digests or {}

        def one(item: tuple[str, str, os.stat_result | None]) -> Taken:
            name, source, info = item
            known = told.get(name) or (seen.known(source, info) if info else None)
            if known is None and take and info:
                known = _linked(store, seen.linked(source, info), info)
            if known is not None:
                kept = held.get(name) == known
                if (present := object_size(store, known, touch=not kept)) is not None:
                    return Taken("", known, present, kept)
            taken = work(store, source, f"{stage}/{temporary_name('file')}")
            if name in told and taken.digest != told[name]:
                raise VersionsError(f"{source} has digest {taken.digest}, not {told[name]} as was said")
            if info and take:
                seen.remember_linked(source, taken.digest)
            elif info:
                seen.remember(source, taken.digest, info)
            return taken

        sources = [os.path.abspath(source) for source in files.values()]  # noqa: PTH100
        items = [(name, source, file_info(source)) for name, source in zip(files, sources, strict=True)]
        taken = take_many(one, items, [info.st_size if info else 0 for *_, info in items])
        seen.save()
        for name in files if any(self._files.iterdir()) else ():
            self._forget_output(name)
        with self._lock:
            self._taken.update((name, (item, "")) for name, item in zip(files, taken, strict=True))
        return [Entry(name, item.digest, item.size) for name, item in zip(files, taken, strict=True)]

    def link(self, name: str, digest: str, size: int, media: str = "") -> Entry:
        """Name an object that the store has already: nothing is read or moved. VersionsError when it has not."""
        check_path(name)
        found = object_size(self.versions.store, digest)
        if found is None:
            raise VersionsError(f"{name}: the store has no object {digest}")
        if found != size:
            raise VersionsError(f"{name}: object {digest} has {found} bytes, not {size}; verify the store")
        return self._keep(name, Taken("", digest, size), media)

    def remove(self, name: str) -> None:
        """As the port; what was put there before in this draft goes too. A name that is not there is fine."""
        check_removal(name)
        self._check_open()
        with self._lock:
            gone = [key for key in self._taken if key == name or (name.endswith("/") and key.startswith(name))]
            for key in gone:
                del self._taken[key]
            self._removed.append(name)
        path = self._files / name
        if name.endswith("/"):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
                path.unlink()

    def commit(self, message: str, metadata: Mapping[str, str], *, allow_empty: bool = False) -> Commit:
        """As the port; durable on return. After an OSError (disk full) it can be called again."""
        versions = self.versions
        self._take_outputs()
        settle(versions.store, [taken for taken, _ in self._taken.values()])
        entries = [Entry(name, taken.digest, taken.size, media) for name, (taken, media) in self._taken.items()]
        parent = versions.commits.read(self.head)
        with versions.reading(parent):
            tree = apply_changes(versions.nodes, parent.tree, entries, self._removed)
        if tree == parent.tree and not allow_empty:
            self._clear()
            raise NothingToCommit(f"the draft of run {self.run!r} changes nothing")
        commit = versions.write_commit(tree, (parent.id,), message, metadata)
        replace_file(self._folder / temporary_name("head"), self._folder / "head", commit.id.encode(), 0o644)
        self.head = commit.id
        self._clear()
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
        """As the port."""
        waiting = len(self._taken) + len(self._removed) + len(_names(self._files))
        if waiting:
            raise VersionsError(f"the draft of run {self.run!r} has uncommitted changes ({waiting}); commit them first")
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
        """As the port; its objects go with the next garbage collection. A second call does nothing."""
        if self._lease is not None:
            self._drop()

    def give_up(self) -> Lease | None:
        """The lease, for another object that goes on with the draft; this one can no longer be used."""
        lease, self._lease = self._lease, None
        self._finalizer.detach()
        return lease if lease is not None and lease.held() else None

    @property
    def _files(self) -> Path:
        self._check_open()
        return self._folder / "files"

    @property
    def _stage(self) -> Path:
        self._check_open()
        return self._folder / "stage"

    def _check_open(self) -> None:
        if self._lease is None or not self._lease.held():
            raise VersionsError(f"the draft of run {self.run!r} is closed: it was published, abandoned or taken over")

    def _keep(self, name: str, taken: Taken, media: str) -> Entry:
        self._forget_output(name)
        with self._lock:
            self._taken[name] = (taken, media)
        return Entry(name, taken.digest, taken.size, media)

    def _held(self, names: list[str]) -> dict[str, str]:
        """Path -> digest of what the draft's last commit has there; {} where looking would cost more than it saves."""
        nodes, tree = self.versions.nodes, self.versions.commits.read(self.head).tree
        with self.versions.reading():
            if len(names) < FEW or open_tree(nodes, tree).count > MANY * len(names):
                return {}
            prefix = os.path.commonprefix(names)  # noqa: RUF071  # a string prefix, as paths have them
            return {entry.path: entry.digest for entry in iter_entries(nodes, tree, prefix)}

    def _forget_output(self, name: str) -> None:
        """Remove what was written at a path before something else was put there."""
        with suppress(FileNotFoundError, IsADirectoryError, NotADirectoryError):
            (self._files / name).unlink()

    def _take_outputs(self) -> None:
        """Hash the files that were written in the draft. They stay known if the commit fails half way."""
        root = str(self._files)
        names = _names(self._files)
        paths = [f"{root}/{name}" for name in names]
        infos = [file_info(path) for path in paths]
        taken = take_many(take_output, paths, [info.st_size if info else 0 for info in infos])
        self._taken.update({name: (item, "") for name, item in zip(names, taken, strict=True)})

    def _clear(self) -> None:
        self._taken.clear()
        self._removed.clear()
        for folder in (self._files, self._stage):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(exist_ok=True)

    def _drop(self) -> None:
        """Remove the draft: out of sight at once, then its files."""
        self._check_open()
        aside = self.versions.store.work / temporary_name("draft")
        self._folder.rename(aside)
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
        shutil.rmtree(aside, ignore_errors=True)


def _linked(store: Store, digest: str | None, info: os.stat_result) -> str | None:
    """The digest, when a file is that very object."""
    found = file_info(store.object_path(digest)) if digest else None
    return digest if found and os.path.samestat(found, info) else None


def _names(root: Path) -> list[str]:
    """Paths of the files below a folder, sorted. VersionsError for a link, a device or a name that is not UTF-8."""
    found = []
    folders = [""]
    while folders:
        below = folders.pop()
        with os.scandir(root / below) as entries:
            for entry in entries:
                name = below + entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    found.append(name)
                else:
                    raise VersionsError(f"{name} in the draft is not a regular file; write a regular file")
    check_paths(found)
    return sorted(found)
