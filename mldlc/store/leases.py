"""Leases: one writer a key. The kernel frees a lease the moment its holder dies, whatever killed it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mldlc.plan.codec import canonical
from mldlc.store.layout import Store

UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_open: set[FileLease] = set()


class FileLease:
    """A held lease; a context manager. Only the process that took it holds it: forked children do not."""

    def __init__(self, key: str, path: Path, descriptor: int) -> None:
        self.key, self._path, self._descriptor = key, path, descriptor
        _open.add(self)

    def held(self) -> bool:
        """Whether this process still holds it."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Give it back. The file goes while it is still locked, so nobody's newer file is ever removed."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        _open.discard(self)
        try:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _drop(self) -> None:
        """In a forked child: close the copy, which leaves the parent's lock as it is."""
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def __enter__(self) -> FileLease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


Lease = FileLease


def _drop_all() -> None:
    for lease in list(_open):
        lease._drop()
    _open.clear()


os.register_at_fork(after_in_child=_drop_all)


def try_acquire(store: Store, key: str, owner: Mapping[str, Any]) -> Lease | None:
    """The lease of a key, or None while another holds it. `owner` (pid, host, run) is for `holder` to show."""
    path = store.leases / key
    while True:
        descriptor = _open_file(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, canonical(dict(owner)), 0)
                return FileLease(key, path, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # released and removed between our open and our lock: this file is nobody's


def acquire(
    store: Store,
    key: str,
    owner: Mapping[str, Any],
    poll: float = 0.05,
    stop: Callable[[], bool] = lambda: False,
) -> Lease | None:
    """Wait for the lease of a key, looking every `poll` seconds; None once `stop()` says so."""
    while not stop():
        lease = try_acquire(store, key, owner)
        if lease is not None:
            return lease
        time.sleep(poll)
    return None


def holder(store: Store, key: str) -> dict[str, Any] | None:
    """Who holds the lease of a key ({} when that cannot be read), or None when nobody does."""
    try:
        descriptor = os.open(store.leases / key, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _owner(os.pread(descriptor, 1 << 16, 0))
    finally:
        os.close(descriptor)


def _open_file(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, 0o644)


def _same_file(path: Path, descriptor: int) -> bool:
    try:
        named, ours = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino)


def _owner(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
