"""Files that wait for their names in the objects, and the group write that makes them durable and gives the names."""
# ruff: noqa: PTH104, PTH108, PTH116 (a call per file: strings cost a third of Path objects)

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mldlc.plan.versions import VersionsError
from mldlc.store.batch import sync
from mldlc.store.durable import each, move_into, sync_folders
from mldlc.store.layout import Store
from mldlc.store.objects import _touch

GROUP = 32  # from so many small files on, one sync of the file system is cheaper than an fsync for each


class Taken(NamedTuple):
    """A file that a draft holds. path: where its bytes wait, "" when they are an object already.

    synced: its bytes are durable; without a path: the draft's last commit has it.
    """

    path: str
    digest: str
    size: int
    synced: bool = False


def settle(store: Store, files: Sequence[Taken]) -> None:
    """Give files their names in the objects, durable on return. OSError (disk full) leaves whole objects, unnamed.

    Bytes are durable before they get their names. VersionsError when an object that was there was collected meanwhile.
    """
    loose = [file.path for file in files if file.path and not file.synced]
    if len(loose) >= GROUP:
        sync(store.work)
    else:
        each(_sync_file, loose)
    made = False
    moved = [file for file in files if file.path or not file.synced]
    for path, digest, size, _ in moved:
        target = store.object_path(digest)
        if _touch(target, size):
            if path:
                discard(path)
        elif not path:
            raise VersionsError(f"object {digest} is gone: put the file again, with its bytes")
        else:
            made |= _move(path, target)
    folders = [f"{store.objects}/{prefix}" for prefix in sorted({file.digest[:2] for file in moved})]
    sync_folders([*folders, *([str(store.objects)] if made else [])])


def _move(path: str, target: str) -> bool:
    """Rename into a fan-out folder, made if absent; whether it was made."""
    try:
        os.rename(path, target)
    except FileNotFoundError:
        return move_into(path, Path(target))
    return False


def file_info(path: str) -> os.stat_result | None:
    """stat of a file; None when it cannot be told, which whoever opens it explains."""
    try:
        return os.stat(path)
    except OSError:
        return None


def object_size(store: Store, digest: str, touch: bool = True) -> int | None:
    """Bytes of an object that is there; None when it is not. touch: it becomes young for the garbage collection."""
    path = store.object_path(digest)
    try:
        size = os.stat(path).st_size
        if touch:
            os.utime(path)
    except FileNotFoundError:
        return None
    except PermissionError:  # another user's
        return size
    return size


def discard(path: str) -> None:
    """Remove a file that may be gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


def _sync_file(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # an object since a first try that failed later
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
