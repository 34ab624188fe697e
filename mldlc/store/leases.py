"""Leases: one writer a key. The kernel frees a lease the moment its holder dies, whatever killed it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from mldlc.plan.codec import canonical
from mldlc.store.heartbeat import lock_owner, try_lock
from mldlc.store.layout import Store

UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
LINKS = ".links"  # leases/<key>.links/: the lock of a key where there is no flock
PROBE = 0.001  # seconds; `holder` locks a free file for some microseconds to learn that it is free


class Lock(Protocol):
    """What holds a lease: a locked file, or a link with a heartbeat."""

    def intact(self) -> bool: ...
    def release(self) -> None: ...
    def drop(self) -> None: ...


class FileLock:
    """A file locked by flock. The descriptor is closed on exec and in forked children."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def intact(self) -> bool:
        """Whether the path still names the locked file (nobody removed it by hand)."""
        return _same_file(self._path, self._descriptor)

    def release(self) -> None:
        """Remove the file while it is still locked, so nobody's newer file is ever removed; then unlock."""
        with suppress(OSError):
            if self.intact():
                self._path.unlink()
        os.close(self._descriptor)

    def drop(self) -> None:
        """Close this process's copy of the descriptor, which leaves the parent's lock as it is."""
        os.close(self._descriptor)


class Lease:
    """A held lease; a context manager. Only the process that took it holds it: its forked children do not."""

    def __init__(self, key: str, lock: Lock) -> None:
        self.key = key
        self._lock: Lock | None = lock
        _held.add(self)

    def held(self) -> bool:
        """Whether this process still holds it."""
        return self._lock is not None and self._lock.intact()

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        lock, self._lock = self._lock, None
        _held.discard(self)
        if lock is not None:
            lock.release()

    def drop(self) -> None:
        """Forget it without giving it back: for forked children."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.drop()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.release()


_held: set[Lease] = set()


def _drop_all() -> None:
    for lease in list(_held):
        lease.drop()
    _held.clear()


os.register_at_fork(after_in_child=_drop_all)


def try_acquire(store: Store, key: str, owner: Mapping[str, Any]) -> Lease | None:
    """The lease of a key, or None while another holds it. Never waits longer than some milliseconds.

    owner: {pid, host, run, ...} for `holder` to show. Garbage collection spares two of its entries while the lease is
    held: `inputs`, digests of trees that are read, and `work`, names of folders in `store.work`.
    """
    store.leases.mkdir(exist_ok=True)
    try:
        lock: Lock | None = _try_flock(store.leases / key, owner)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        (store.leases / key).unlink(missing_ok=True)
        lock = try_lock(store.leases / f"{key}{LINKS}", owner)
    return Lease(key, lock) if lock is not None else None


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
        return lock_owner(store.leases / f"{key}{LINKS}")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _owner(os.pread(descriptor, 1 << 20, 0))
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return lock_owner(store.leases / f"{key}{LINKS}")
    finally:
        os.close(descriptor)


def lease_keys(store: Store) -> list[str]:
    """Keys that have a lease file, held or left by a killed process."""
    names = os.listdir(store.leases) if store.leases.is_dir() else []  # noqa: PTH208 (names only)
    return sorted({name.removesuffix(LINKS) for name in names})


def _try_flock(path: Path, owner: Mapping[str, Any]) -> FileLock | None:
    probed = False
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _same_file(path, descriptor):
                pass  # removed by its last holder between our open and our lock: this file is nobody's
            elif os.fstat(descriptor).st_nlink > 1:  # a killed process's, with more names: not to be shared with them
                path.unlink()
            else:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, canonical(dict(owner)), 0)
                return FileLock(path, descriptor)
        except BlockingIOError:
            os.close(descriptor)
            if probed:
                return None
            probed = True
            time.sleep(PROBE)
            continue
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


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
