"""Where the store keeps what: `<outputs>/store/` and its format file. Verbs that only look never make one."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mldlc.plan.codec import canonical
from mldlc.plan.diagnostic import DiagnosticError, fail
from mldlc.store.durable import replace_file

FORMAT = 1
DIGEST = "blake3-256"
FORMAT_FILE = "format.json"
FOLDERS = ("objects", "records", "leases", "scratch", "work", "drafts")  # drafts: for data versions
RESERVED = ("packs", "ranges", "trees", "commits", "heads", "tags", "cache")  # later parts of the same layout


@dataclass(frozen=True)
class Store:
    """A store on a local file system. `root` is `<outputs>/store`; everything below it lies on one file system."""

    root: Path

    @cached_property
    def objects(self) -> Path:
        """Immutable bytes by digest: objects/ab/cdef..., mode 0444."""
        return self.root / "objects"

    @cached_property
    def records(self) -> Path:
        """Action records: records/ab/<key>.json."""
        return self.root / "records"

    @cached_property
    def leases(self) -> Path:
        """One file a key that somebody works on."""
        return self.root / "leases"

    @cached_property
    def scratch(self) -> Path:
        """scratch/<key>/: what a long step keeps over a crash."""
        return self.root / "scratch"

    @cached_property
    def work(self) -> Path:
        """work/<execution>/: outputs in the making, and temporary files."""
        return self.root / "work"

    def object(self, digest: str) -> Path:
        """Path of an object, present or not."""
        return self.objects / digest[:2] / digest[2:]

    def record(self, key: str) -> Path:
        """Path of a record, present or not."""
        return self.records / key[:2] / f"{key}.json"

    def object_path(self, digest: str) -> str:
        """As `object`, as text: where it is asked for thousands of files, Path objects would be most of the cost."""
        return f"{self._objects}/{digest[:2]}/{digest[2:]}"

    def record_path(self, key: str) -> str:
        """As `record`, as text."""
        return f"{self._records}/{key[:2]}/{key}.json"

    @cached_property
    def _objects(self) -> str:
        return str(self.objects)

    @cached_property
    def _records(self) -> str:
        return str(self.records)


def open_store(outputs: Path) -> Store:
    """The store under an outputs folder, made if there is none. `format.json` comes last: without it there is no store.

    DiagnosticError: `outputs_read_only`, `outputs_in_the_way` (a file, or a folder that is no store), `store_format`.
    """
    store = Store(Path(outputs) / "store")
    try:
        if not _check_format(store):
            _create(store)
        for name in FOLDERS:
            if not (store.root / name).is_dir():
                (store.root / name).mkdir(exist_ok=True)
    except OSError as error:
        raise _refusal(error, store) from error
    if not os.access(store.objects, os.W_OK | os.X_OK):
        raise _read_only(store.objects)
    return store


def existing_store(outputs: Path) -> Store | None:
    """The store under an outputs folder if there is one; creates nothing. DiagnosticError `store_format` as above."""
    store = Store(Path(outputs) / "store")
    try:
        return store if _check_format(store) else None
    except OSError as error:
        raise _refusal(error, store) from error


def _check_format(store: Store) -> bool:
    """Whether the format file is there; DiagnosticError when it is not one that this release writes."""
    path = store.root / FORMAT_FILE
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return False
    try:
        found = json.loads(text)
        number, digest = int(found["format"]), str(found["digest"])
    except (ValueError, KeyError, TypeError):
        raise fail(
            "store_format",
            f"{path} is damaged: it should say which format the store has",
            found=text[:80].decode(errors="replace"),
            hint=f"write {canonical({'format': FORMAT, 'digest': DIGEST}).decode()} into it, then verify the store",
        ) from None
    if number == FORMAT and digest == DIGEST:
        return True
    raise fail(
        "store_format",
        f"{store.root} has store format {number} ({digest}); this release reads format {FORMAT} ({DIGEST})",
        found=f"{number} ({digest})",
        allowed=(f"{FORMAT} ({DIGEST})",),
        hint="use the release that wrote it, or another folder: paths.outputs=DIR",
    )


def _create(store: Store) -> None:
    store.root.mkdir(parents=True, exist_ok=True)
    names = {entry.name for entry in store.root.iterdir()}
    strange = sorted(name for name in names - {*FOLDERS, *RESERVED} if not name.startswith(FORMAT_FILE))
    if strange:
        raise fail(
            "outputs_in_the_way",
            f"{store.root} is a folder but not a store: it holds {', '.join(strange[:3])}",
            hint="move it away, or choose another folder: paths.outputs=DIR",
        )
    for name in FOLDERS:
        (store.root / name).mkdir(exist_ok=True)
    temporary = store.root / f"{FORMAT_FILE}.{os.getpid()}"
    replace_file(temporary, store.root / FORMAT_FILE, canonical({"format": FORMAT, "digest": DIGEST}), 0o644)


def _refusal(error: OSError, store: Store) -> Exception:
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return _read_only(Path(error.filename) if error.filename else store.root)
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        places = (*reversed(store.root.parents), store.root, *(store.root / name for name in FOLDERS))
        file = next((path for path in places if path.exists() and not path.is_dir()), store.root)
        return fail(
            "outputs_in_the_way",
            f"{file} is a file, where the outputs need a folder",
            hint="move it away, or choose another folder: paths.outputs=DIR",
        )
    return error


def _read_only(path: Path) -> DiagnosticError:
    return fail(
        "outputs_read_only",
        f"the outputs folder is read-only: cannot write {path}",
        hint="choose a folder that you may write: paths.outputs=DIR or MLDLC_OUTPUTS=DIR",
    )
