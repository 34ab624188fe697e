"""Writing so that it stays written: temporary file, fsync, rename, fsync of the folder; a pool overlaps the fsyncs."""
# ruff: noqa: PTH104, PTH108 (a call per file: strings cost a third of Path objects)

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")
R = TypeVar("R")
StrPath = str | os.PathLike[str]

WORKERS = 8  # eight fsyncs in flight cost as much as none on ext4 (3000 x 20 KB: 1.43 s, without sync 1.5 s)
_pool: ThreadPoolExecutor | None = None
_counter = itertools.count()
_token = os.urandom(4).hex()


def _renew() -> None:
    global _token
    _token = os.urandom(4).hex()


os.register_at_fork(after_in_child=_renew)


def _executor() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        from concurrent.futures import ThreadPoolExecutor

        _pool = ThreadPoolExecutor(WORKERS - 1, thread_name_prefix="mldlc-store")
    return _pool


def _forget_pool() -> None:
    """Threads do not survive a fork: the child starts its own pool on first use."""
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_pool)


def each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """`[work(item) for item in items]`, several at a time; the first error stops the rest and is raised.

    The caller works too, and takes back what the pool has not begun, so nested calls cannot block each other.
    """
    if len(items) < 2:
        return [work(item) for item in items]
    results: list[R | None] = [None] * len(items)
    queue = deque(range(len(items)))

    def drain() -> None:
        while queue:
            try:
                index = queue.popleft()
            except IndexError:
                return
            try:
                results[index] = work(items[index])
            except BaseException:
                queue.clear()
                raise

    futures = [_executor().submit(drain) for _ in range(min(WORKERS, len(items)) - 1)]
    try:
        drain()
    finally:
        queue.clear()
        errors = [future.exception() for future in futures if not future.cancel()]
    for error in errors:
        if error is not None:
            raise error
    return results  # type: ignore[return-value]  # every index was worked on, or an error was raised


def temporary_name(prefix: str = "tmp") -> str:
    """A file name that no other process or thread on any host uses."""
    return f"{prefix}-{os.getpid()}-{next(_counter)}-{_token}"


def write_synced(path: StrPath, data: bytes, mode: int) -> None:
    """Create a new file with these bytes and fsync it; nothing is left behind when that fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def move_into(source: StrPath, target: StrPath) -> bool:
    """Rename into a fan-out folder, made if absent; whether it was made (its parent then needs an fsync too)."""
    try:
        os.rename(source, target)
    except FileNotFoundError:  # or another thread made the folder just now: try again in any case
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
        return True
    return False


def sync_folders(folders: Iterable[StrPath]) -> None:
    """Make renames in these folders durable. Several at a time: each fsync flushes the device, and flushes coalesce."""
    each(_sync_folder, list(folders))


def _sync_folder(folder: StrPath) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(temporary: Path, target: Path, data: bytes, mode: int) -> None:
    """Write `target` as a whole or not at all, durably, through a temporary file on the same file system."""
    write_synced(temporary, data, mode)
    made = move_into(temporary, target)
    sync_folders([target.parent, target.parent.parent] if made else [target.parent])
