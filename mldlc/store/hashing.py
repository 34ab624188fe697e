"""BLAKE3 of bytes and files: the names of everything in the store."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blake3 import blake3

SMALL = 1 << 20  # up to here one read and one thread; above, chunks hashed by all cores
CHUNK = 8 << 20


@cache  # at first use: a plan that hashes nothing imports nothing; an import statement a file would cost as much as it
def _hasher() -> type[blake3]:
    from blake3 import blake3

    return blake3


def hash_bytes(data: bytes) -> str:
    """BLAKE3-256, hex."""
    return _hasher()(data).hexdigest()


def hash_descriptor(descriptor: int, size: int) -> str:
    """BLAKE3-256 of an open file, hex. Reads instead of mapping: a file truncated meanwhile must not be a SIGBUS."""
    hasher = _hasher()() if size <= SMALL else _hasher()(max_threads=_hasher().AUTO)
    if size <= SMALL:
        while data := os.read(descriptor, size + 1):
            hasher.update(data)
        return hasher.hexdigest()
    buffer = memoryview(bytearray(CHUNK))
    while count := os.readv(descriptor, [buffer]):
        hasher.update(buffer[:count])
    return hasher.hexdigest()


def hash_file(path: str | os.PathLike[str]) -> str:
    """BLAKE3-256 of a file's bytes, hex."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return hash_descriptor(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)
