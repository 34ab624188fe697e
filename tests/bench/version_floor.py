"""The least that taking files into a store can take: read, hash, copy or link under the digest's name, make durable.

`python -m tests.bench.version_floor copy|link each|fs SOURCE TARGET`: fsync of each file by 8 threads, or of the whole
file system once. Nothing is written about the files, and nothing is checked.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from blake3 import blake3

SMALL = 1 << 20
CHUNK = 8 << 20


def read_hash(path: str, out: int) -> str:
    """BLAKE3 of a file; what was read is written to descriptor `out` if there is one."""
    source = os.open(path, os.O_RDONLY)
    hasher = blake3(max_threads=blake3.AUTO)
    buffer = memoryview(bytearray(CHUNK))
    while count := os.readv(source, [buffer]):
        hasher.update(buffer[:count])
        if out >= 0:
            os.write(out, buffer[:count])
    os.close(source)
    return hasher.hexdigest()


def copy_small(path: str, target: str) -> str:
    """Read whole, written under its name at once."""
    source = os.open(path, os.O_RDONLY)
    data = os.read(source, SMALL)
    os.close(source)
    digest = blake3(data).hexdigest()
    name = f"{target}/{digest[:2]}/{digest[2:]}"
    out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    os.write(out, data)
    os.close(out)
    return name


def copy_large(path: str, target: str) -> str:
    """Read, hashed and written in pieces, then named."""
    temporary = f"{target}/{os.path.basename(path)}"  # noqa: PTH119
    out = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    digest = read_hash(path, out)
    os.close(out)
    name = f"{target}/{digest[:2]}/{digest[2:]}"
    os.rename(temporary, name)  # noqa: PTH104
    return name


def link(path: str, target: str) -> str:
    """Hashed, read-only, and linked under its name."""
    if os.stat(path).st_size <= SMALL:  # noqa: PTH116
        source = os.open(path, os.O_RDONLY)
        digest = blake3(os.read(source, SMALL)).hexdigest()
        os.close(source)
    else:
        digest = read_hash(path, -1)
    name = f"{target}/{digest[:2]}/{digest[2:]}"
    os.chmod(path, 0o444)  # noqa: PTH101
    os.link(path, name)
    return name


def sync(path: str) -> None:
    """fsync."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def run(work: Callable[[str], None], paths: Iterable[str], pool: ThreadPoolExecutor, wide: bool) -> None:
    """On eight threads when that pays."""
    if wide:
        list(pool.map(work, paths))
    else:
        for path in paths:
            work(path)


def main() -> None:
    """Take all files of a folder."""
    mode, durable, folder, target = sys.argv[1:]
    entries = [entry for entry in os.scandir(folder) if entry.is_file()]
    large = entries[0].stat().st_size > SMALL
    for prefix in range(256):
        os.makedirs(f"{target}/{prefix:02x}")  # noqa: PTH103
    take = link if mode == "link" else copy_large if large else copy_small

    def one(path: str) -> None:
        name = take(path, target)
        if durable == "each":
            sync(name)

    with ThreadPoolExecutor(8) as pool:
        run(one, [entry.path for entry in entries], pool, large or durable == "each")
        if durable == "each":
            list(pool.map(sync, [entry.path for entry in os.scandir(target)]))
    if durable == "fs":
        descriptor = os.open(target, os.O_RDONLY)
        ctypes.CDLL(None).syncfs(descriptor)
        os.close(descriptor)


if __name__ == "__main__":
    main()
