"""Digests of what lies under a prefix: a pure function of (path, digest, size), the same for every store and history.

BLAKE3 of three BLAKE3: of the paths, of the digests as text (both NUL-terminated) and of the sizes (8 bytes, little
endian), all in the order of the paths' bytes.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable

from mldlc.plan.versions import Entry
from mldlc.store.versions.entries import prefix_span
from mldlc.store.versions.ranges import Range
from mldlc.store.versions.trees import NodeStore, iter_ranges, open_tree


class EntriesHasher:
    """Takes entries in order of their paths; `digest()` at the end."""

    def __init__(self) -> None:
        from blake3 import blake3

        self._new = blake3
        self._columns = (blake3(), blake3(), blake3())

    def update(self, part: Range, start: int, stop: int) -> None:
        """Go on with entries start..stop of a range."""
        part = part.slice(start, stop)
        if part:
            self.columns(part.blob + b"\0", part.digests.hex("\0", 32).encode() + b"\0", part.sizes)

    def columns(self, paths: bytes, digests: bytes, sizes: bytes) -> None:
        """Go on with entries as the bytes that are hashed."""
        for hasher, data in zip(self._columns, (paths, digests, sizes), strict=True):
            hasher.update(data)

    def digest(self) -> str:
        """The digest, hex."""
        return str(self._new(b"".join(hasher.digest() for hasher in self._columns)).hexdigest())


def entries_digest(entries: Iterable[Entry]) -> str:
    """The digest of entries in any order: for stores that list instead of keeping trees."""
    hasher = EntriesHasher()
    for path, digest, size, _ in sorted(entries):
        hasher.columns(path.encode() + b"\0", digest.encode() + b"\0", struct.pack("<Q", size))
    return hasher.digest()


def prefix_digest(nodes: NodeStore, tree_id: str, prefix: str = "") -> str:
    """The digest of all entries whose path begins with `prefix`."""
    hasher = EntriesHasher()
    for part in iter_ranges(nodes, open_tree(nodes, tree_id), *prefix_span(prefix)):
        hasher.update(part, 0, len(part))
    return hasher.digest()


def partitions(nodes: NodeStore, tree_id: str, prefix: str = "") -> dict[str, str]:
    """First path segment below `prefix` (with its "/"; a file: its name) -> `prefix_digest` of it."""
    skip = len(prefix.encode(errors="surrogatepass"))
    hashers: dict[bytes, EntriesHasher] = {}
    for part in iter_ranges(nodes, open_tree(nodes, tree_id), *prefix_span(prefix)):
        at = 0
        while at < len(part):
            path = part.paths[at]
            slash = path.find(b"/", skip)
            segment = path[skip : slash + 1] if slash >= 0 else path[skip:]
            stop = bisect_left(part.paths, path[:slash] + b"0", at) if slash >= 0 else at + 1
            hashers.setdefault(segment, EntriesHasher()).update(part, at, stop)
            at = stop
    return {segment.decode(): hasher.digest() for segment, hasher in hashers.items()}
