"""Files on their way into a draft: an outside file is reflinked where the file system can, else read once, hashed and
written in one pass; small ones by as many threads as pays.
"""
# ruff: noqa: PTH105, PTH116 (a call per file: strings cost a third of Path objects)

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from mldlc.plan.diagnostic import did_you_mean
from mldlc.plan.versions import VersionsError
from mldlc.store.durable import WORKERS, each
from mldlc.store.hashing import CHUNK, SMALL, hash_bytes, hash_descriptor
from mldlc.store.layout import Store
from mldlc.store.objects import _touch
from mldlc.store.versions.taken import Taken, discard

FICLONE = 0x40049409  # linux/fs.h: share the blocks of a file
CLONED = 128 << 10  # bytes; a smaller file is read anyway, and written in the same pass
BATCH = 128  # small files between two decisions on the number of threads
WIDTHS = (1, 2, WORKERS)  # threads
TRIED = 32  # batches until all widths are tried again
NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES)
T = TypeVar("T")
_no_clone: set[tuple[int, int]] = set()  # pairs of file systems that cannot share blocks


def take_many(work: Callable[[T], Taken], items: Sequence[T], sizes: Sequence[int]) -> list[Taken]:
    """`[work(item) for item in items]`: large files several at a time, small ones by as many threads as pays now.

    Small files that are in memory go fastest on one thread, since more would wait for the interpreter; those that the
    disk must fetch, or whose names the file system makes slowly, on several. So each width is tried now and then.
    """
    large = [index for index, size in enumerate(sizes) if size > SMALL]
    small = [index for index, size in enumerate(sizes) if size <= SMALL]
    taken = dict(zip(large, each(lambda index: work(items[index]), large), strict=True))
    speed: dict[int, float] = {}
    for number, start in enumerate(range(0, len(small), BATCH)):
        if number % TRIED == 0:
            speed.clear()
        width = next((width for width in WIDTHS if width not in speed), 0) or max(speed, key=lambda w: speed[w])
        batch = small[start : start + BATCH]
        begun = time.perf_counter()
        for shares in each(lambda share: [(index, work(items[index])) for index in share], _share(batch, width)):
            taken.update(shares)
        speed[width] = len(batch) / (time.perf_counter() - begun)
    return [taken[index] for index in range(len(items))]


def _share(batch: list[int], width: int) -> list[list[int]]:
    return [batch[start::width] for start in range(min(width, len(batch)))]


def take_copy(store: Store, source: str, target: str) -> Taken:
    """Reflink or copy a file to `target`, a new path on the store's file system. VersionsError; OSError."""
    descriptor, before = _open(source)
    try:
        cloned = before.st_size > CLONED and _clone(descriptor, before, target)
        if not cloned and before.st_size <= SMALL:
            return _copy_small(store, source, descriptor, target, before)
        taken = _hash_clone(target) if cloned else _copy_large(descriptor, target, before.st_size)
        _check_still(source, descriptor, before, taken.digest)
    except BaseException:
        discard(target)
        raise
    finally:
        os.close(descriptor)
    if taken.path and taken.size > SMALL and _touch(store.object_path(taken.digest), taken.size):
        discard(target)
        return taken._replace(path="")
    return taken


def take_link(store: Store, source: str, target: str) -> Taken:
    """Hardlink a file to `target`: its mode becomes 0444 and its mtime now; copied where it cannot be linked."""
    descriptor, before = _open(source)
    try:
        digest = hash_descriptor(descriptor, before.st_size)
        _check_still(source, descriptor, before, digest)
        try:
            os.link(source, target, follow_symlinks=True)
            os.fchmod(descriptor, 0o444)
            os.utime(descriptor)  # young for the garbage collection
        except OSError as error:
            discard(target)
            if error.errno not in NO_LINK:
                raise
            return take_copy(store, source, target)
        synced = before.st_size > SMALL
        if synced:
            os.fsync(descriptor)
        after = os.stat(target)
        if before.st_size != after.st_size or not os.path.samestat(before, after):
            raise _moved(source)
        return Taken(target, digest, before.st_size, synced)
    except BaseException:
        discard(target)
        raise
    finally:
        os.close(descriptor)


def take_output(path: str) -> Taken:
    """Hash a file that was written inside a draft, where it is; a second name for its bytes is cut by a copy."""
    if os.lstat(path).st_nlink > 1:  # somebody else could write these bytes in place
        _own_copy(path)
    descriptor, before = _open(path, os.O_NOFOLLOW)
    try:
        digest = hash_descriptor(descriptor, before.st_size)
        _check_still(path, descriptor, before, digest)
        os.fchmod(descriptor, 0o444)
        os.utime(descriptor)
        synced = before.st_size > SMALL
        if synced:
            os.fsync(descriptor)
        return Taken(path, digest, before.st_size, synced)
    finally:
        os.close(descriptor)


def _open(path: str, flags: int = 0) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file, and what it is now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(Path(path)) from None
    except OSError as error:
        if error.errno == errno.ELOOP and flags:
            raise VersionsError(f"{path} is a symbolic link; write a regular file") from None
        raise VersionsError(f"cannot read {path}: {error.strerror}") from error
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        raise VersionsError(f"{path} is not a regular file")
    return descriptor, info


def _clone(descriptor: int, info: os.stat_result, target: str) -> bool:
    """Share the blocks of an open file; False where the file systems cannot."""
    pair = (info.st_dev, os.stat(os.path.dirname(target)).st_dev)  # noqa: PTH120
    if pair in _no_clone:
        return False
    copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        fcntl.ioctl(copy, FICLONE, descriptor)
        os.fsync(copy)
        return True
    except OSError as error:
        discard(target)
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
            raise
        _no_clone.add(pair)
        return False
    finally:
        os.close(copy)


def _hash_clone(target: str) -> Taken:
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        return Taken(target, hash_descriptor(descriptor, size), size, True)
    finally:
        os.close(descriptor)


def _copy_small(store: Store, source: str, descriptor: int, target: str, before: os.stat_result) -> Taken:
    """Read whole; written only when there is no such object yet."""
    size = before.st_size
    data = os.read(descriptor, size + 1)
    while len(data) <= size and (more := os.read(descriptor, size + 1 - len(data))):
        data += more
    digest = hash_bytes(data)
    _check_still(source, descriptor, before, digest)
    if _touch(store.object_path(digest), len(data)):
        return Taken("", digest, len(data))
    copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        _write(copy, memoryview(data))
    finally:
        os.close(copy)
    return Taken(target, digest, len(data))


def _copy_large(descriptor: int, target: str, size: int) -> Taken:
    """One pass over the source: each chunk is hashed by all cores and written; then fsync."""
    from blake3 import blake3

    hasher = blake3(max_threads=blake3.AUTO)
    buffer = memoryview(bytearray(CHUNK))
    total = 0
    copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
    try:
        while count := os.readv(descriptor, [buffer]):
            _write(copy, buffer[:count])
            hasher.update(buffer[:count])
            total += count
            if total > size:  # it grows; perhaps as fast as it is read
                break
        os.fsync(copy)
    finally:
        os.close(copy)
    return Taken(target, hasher.hexdigest(), total, True)


def _write(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]


def _own_copy(path: str) -> None:
    import shutil

    copy = f"{path}.mldlc-copy"
    shutil.copyfile(path, copy, follow_symlinks=False)
    os.replace(copy, path)


def _check_still(path: str, descriptor: int, before: os.stat_result, digest: str) -> None:
    """VersionsError when a file's bytes changed while they were read. The store only touches those of its objects."""
    after = os.fstat(descriptor)
    if after.st_size == before.st_size:
        if after.st_mtime_ns == before.st_mtime_ns:
            return
        os.lseek(descriptor, 0, os.SEEK_SET)
        if hash_descriptor(descriptor, after.st_size) == digest:
            return
    raise _moved(path)


def _moved(path: str) -> VersionsError:
    return VersionsError(f"{path} was written while it was stored; wait for what writes it")


def _missing(path: Path) -> VersionsError:
    try:
        near = did_you_mean(path.name, [entry.name for entry in path.parent.iterdir()])
    except OSError:
        near = f"its folder {path.parent} does not exist"
    return VersionsError(f"there is no file {path}" + (f"; {near}" if near else ""))
