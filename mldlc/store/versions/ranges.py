"""Ranges: sorted runs of entries as columns of bytes. Equal entries give equal bytes, and so one id.

A range ends after an entry whose path hash says so (`Cut`), or when it is full. No entry inside a range is such an end,
so to change one only the new paths and its last one are hashed; and where ends meet again, the rest stays as it is.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice, pairwise
from operator import itemgetter, lt
from typing import NamedTuple
from zlib import crc32

from mldlc.plan.versions import Entry
from mldlc.store.versions.entries import check_paths, check_values

MAGIC = b"mldlc.range/1\n"
HEAD = struct.Struct("<IIIB")  # entries, bytes of the paths, bytes of the media types, bytes of one media code
WIDTHS = {0: "", 1: "B", 2: "H", 4: "I"}  # no code where all entries have one media type


class Cut(NamedTuple):
    """Where ranges end: after a path whose hash falls to one in `every`, and after `most` entries at the latest.

    Another `every` gives other ids. Measured with 10,000 of a million entries changed all over: 2048 makes 483 files
    and takes 1.5 times what rewriting columns takes; 4096 makes 242 and takes 0.9; 8192 doubles what one change writes.
    """

    every: int = 4096
    most: int = 16384

    def ends(self, paths: Iterable[bytes]) -> list[int]:
        """Indices of the paths that end a range: Fibonacci-mixed CRC-32 of the path below 2^32 / every."""
        limit = (1 << 32) // self.every
        return [i for i, h in enumerate(map(crc32, paths)) if (h * 0x9E3779B1 & 0xFFFFFFFF) < limit]


class Range:
    """Entries as columns, sorted by path: paths as UTF-8, digests 32 bytes each, sizes 8 bytes each, media types."""

    def __init__(
        self,
        digests: bytes,
        sizes: bytes,
        media: Sequence[str],
        paths: list[bytes] | None = None,
        blob: bytes | None = None,
    ) -> None:
        self.digests, self.sizes, self.media = digests, sizes, media
        if paths is not None:
            self.paths = paths
        if blob is not None:
            self.blob = blob

    def __len__(self) -> int:
        return len(self.media)

    @cached_property
    def paths(self) -> list[bytes]:
        """One path an entry."""
        return self.blob.split(b"\0") if self.media else []

    @cached_property
    def blob(self) -> bytes:
        """All paths, with a NUL between two."""
        return b"\0".join(self.paths)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(struct.unpack(f"<{len(self)}Q", self.sizes))

    def slice(self, start: int, stop: int) -> Range:
        """Entries start..stop."""
        if start == 0 and stop == len(self):
            return self
        return Range(
            self.digests[32 * start : 32 * stop],
            self.sizes[8 * start : 8 * stop],
            self.media[start:stop],
            self.paths[start:stop],
        )

    def entries(self, start: int = 0, stop: int | None = None) -> Iterator[Entry]:
        """Entries start..stop as values."""
        part = self.slice(start, len(self) if stop is None else stop)
        if len(part) < 2:
            return iter([part.entry(0)] if part else [])
        paths = part.blob.decode().split("\0")
        digests = part.digests.hex("\0", 32).split("\0")
        return map(Entry, paths, digests, struct.unpack(f"<{len(part)}Q", part.sizes), part.media)

    def entry(self, index: int) -> Entry:
        """One entry."""
        return Entry(
            self.paths[index].decode(),
            self.digests[32 * index : 32 * index + 32].hex(),
            int.from_bytes(self.sizes[8 * index : 8 * index + 8], "little"),
            self.media[index],
        )


Part = tuple[Range, int, int]  # entries start..stop of a range
EMPTY_RANGE = Range(b"", b"", [], [])


def from_entries(entries: Iterable[Entry]) -> Range:
    """Entries in any order as one run; of several with the same path the last. InvalidPath, ValueError."""
    items = list(entries)
    names = [entry.path for entry in items]
    if not all(map(lt, names, islice(names, 1, None))):
        items = sorted(dict(zip(names, items, strict=True)).values(), key=itemgetter(0))
        names = [entry.path for entry in items]
    paths = check_paths(names)
    digests, sizes, media = check_values(items)
    return Range(digests, sizes, media, paths)


def join(parts: Sequence[Part], blob: bytes | None = None) -> Range:
    """Slices (range, start, stop) one after another; blob: their paths, where they are known."""
    if not parts:
        return EMPTY_RANGE
    if len(parts) == 1:
        return parts[0][0].slice(*parts[0][1:])
    digests = b"".join([part.digests[32 * start : 32 * stop] for part, start, stop in parts])
    sizes = b"".join([part.sizes[8 * start : 8 * stop] for part, start, stop in parts])
    paths: list[bytes] = []
    media: list[str] = []
    for part, start, stop in parts:
        paths += part.paths[start:stop]
        media += part.media[start:stop]
    return Range(digests, sizes, media, paths, blob)


def overlay(old: Range, new: Range) -> Range:
    """The entries of both; where both have a path, the new one's."""
    parts: list[Part] = []
    before, after = old.paths, new.paths
    at = taken = begun = replaced = 0  # new entries begun..taken follow one another in the result
    while taken < len(after):
        path = after[taken]
        here = at if at < len(before) and before[at] == path else bisect_left(before, path, at)
        if here > at:
            if taken > begun:
                parts.append((new, begun, taken))
            parts.append((old, at, here))
            begun, at = taken, here
        if at < len(before) and before[at] == path:
            at += 1
            taken += 1
            replaced += 1
        else:
            taken = bisect_left(after, before[at], taken) if at < len(before) else len(after)
    if taken > begun:
        parts.append((new, begun, taken))
    if at < len(before):
        parts.append((old, at, len(before)))
    return join(parts, old.blob if replaced == len(after) else None)


def without(old: Range, gone: Iterable[tuple[bytes, bytes]]) -> Range:
    """The entries outside all spans (from path, up to path), which are sorted and do not overlap."""
    parts: list[Part] = []
    at = 0
    for low, high in gone:
        start = bisect_left(old.paths, low, at)
        stop = bisect_left(old.paths, high, start)
        if start == stop:
            continue
        if start > at:
            parts.append((old, at, start))
        at = stop
    if at < len(old):
        parts.append((old, at, len(old)))
    return join(parts)


def encode(part: Range) -> bytes:
    """The bytes of a range."""
    values = sorted(set(part.media))
    width = 0 if len(values) == 1 else 1 if len(values) <= 1 << 8 else 2 if len(values) <= 1 << 16 else 4
    codes = b""
    if width:
        number = {value: index for index, value in enumerate(values)}
        codes = struct.pack(f"<{len(part)}{WIDTHS[width]}", *[number[value] for value in part.media])
    names = "\0".join(values).encode()
    head = HEAD.pack(len(part), len(part.blob), len(names), width)
    return b"".join([MAGIC, head, part.blob, part.digests, part.sizes, names, codes])


def decode(data: bytes) -> Range:
    """The range of these bytes. ValueError when they are none."""
    start = len(MAGIC) + HEAD.size
    if data[: len(MAGIC)] != MAGIC or len(data) < start:
        raise ValueError(f"not a range that this release reads: it begins with {data[: len(MAGIC)]!r}, not {MAGIC!r}")
    count, paths, names, width = HEAD.unpack_from(data, len(MAGIC))
    ends = [start]
    for length in (paths, 32 * count, 8 * count, names, width * count):
        ends.append(ends[-1] + length)
    if ends[-1] != len(data):
        raise ValueError(f"a range of {len(data)} bytes should have {ends[-1]}")
    blob, digests, sizes, media, codes = (data[a:b] for a, b in pairwise(ends))
    values = media.decode().split("\0")
    every = [values[code] for code in struct.unpack(f"<{count}{WIDTHS[width]}", codes)] if width else values * count
    return Range(digests, sizes, every, blob=blob)
