"""Maps the fixed-width columns of an uncompressed Arrow IPC file as NumPy arrays: no copy, pages shared and lazy.

Polars copies a file while it reads it, which doubles the memory of a training set. Only what the tensor layout needs of
the format is read here (https://arrow.apache.org/docs/format/Columnar.html, File.fbs, Message.fbs).
"""

from __future__ import annotations

import mmap
import os
import struct
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

MAGIC = b"ARROW1"


def map_columns(path: Path, columns: Sequence[tuple[np.dtype, int | None]]) -> list[list[np.ndarray]]:
    """Arrays of each record batch: one list a batch, in order, with one array a column.

    columns: every column of the file in order: (dtype, None) for a plain column, giving shape (rows,), or (dtype,
    width) for a fixed-size list, giving (rows, width). Writing into an array changes private memory, never the file.
    ValueError when the file is no such file or has nulls.
    """
    data = _mapped(path, mmap.ACCESS_COPY)
    found = [_batch(data, path, offset, meta, columns) for offset, meta, _ in batches(data, path)]
    return [_arrays(data, columns, starts, 0, rows) for rows, starts in found]


class ArrowRows:
    """Runs of rows of a file, read-only: its pages are the file's own and are given back when the arrays go.

    columns: as in `map_columns`. keep: pages are not given back. Safe to read from several threads.
    """

    def __init__(self, path: Path, columns: Sequence[tuple[np.dtype, int | None]], keep: bool = False) -> None:
        self.path, self.columns = path, tuple(columns)
        data = _mapped(path, mmap.ACCESS_READ)
        found = [_batch(data, path, offset, meta, columns) for offset, meta, _ in batches(data, path)]
        self._starts = [starts for _, starts in found]
        self._ends = list(accumulate(rows for rows, _ in found))
        self._kept = data if keep else None

    def read(self, start: int, stop: int) -> list[np.ndarray]:
        """Rows [start, stop) of every column: views where they lie in one record batch, else copies."""
        data = self._kept or _mapped(self.path, mmap.ACCESS_READ)
        first, last = bisect_right(self._ends, start), bisect_right(self._ends, stop - 1)
        found = []
        for number in range(first, last + 1):
            before = self._ends[number - 1] if number else 0
            rows = max(0, start - before), min(stop, self._ends[number]) - before
            found.append(_arrays(data, self.columns, self._starts[number], *rows))
        return found[0] if len(found) == 1 else [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _mapped(path: Path, access: int) -> memoryview:
    file = os.open(path, os.O_RDONLY)
    try:
        return memoryview(mmap.mmap(file, 0, access=access)) if os.fstat(file).st_size else memoryview(b"")
    finally:
        os.close(file)


def _arrays(
    data: memoryview, columns: Sequence[tuple[np.dtype, int | None]], starts: Sequence[int], start: int, stop: int
) -> list[np.ndarray]:
    """Rows [start, stop) of the columns of a record batch. starts: at which byte their items begin."""
    found = []
    for (dtype, width), at in zip(columns, starts, strict=True):
        wide = width or 1
        flat = np.frombuffer(data, dtype, (stop - start) * wide, at + start * wide * dtype.itemsize)
        found.append(flat if width is None else flat.reshape(stop - start, width))
    return found


def batches(data: memoryview, path: Path) -> list[tuple[int, int, int]]:
    """(offset, bytes of metadata, bytes of body) of each record batch. ValueError when it is no Arrow IPC file."""
    if bytes(data[:6]) != MAGIC or bytes(data[-6:]) != MAGIC:
        raise ValueError(f"{path} is no Arrow IPC file")
    (length,) = struct.unpack_from("<i", data, len(data) - 10)
    start, count = vector(data, root(data, len(data) - 10 - length), 3)
    return [struct.unpack_from("<qi4xq", data, start + 24 * i) for i in range(count)]


def _batch(
    data: memoryview, path: Path, offset: int, meta: int, columns: Sequence[tuple[np.dtype, int | None]]
) -> tuple[int, list[int]]:
    """Rows of the record batch at `offset`, and where the items of each column begin."""
    batch = indirect(data, root(data, offset + 8), 2)
    if field(data, batch, 3):
        raise ValueError(f"{path} is compressed")
    place = field(data, batch, 0)
    nodes, node_count = vector(data, batch, 1)
    if any(struct.unpack_from("<qq", data, nodes + 16 * i)[1] for i in range(node_count)):
        raise ValueError(f"{path} has nulls")
    start, _ = vector(data, batch, 2)
    starts, index = [], 0
    for _, width in columns:
        index += 1 if width is None else 2  # validity of the column, and of the list's items
        (at, _length) = struct.unpack_from("<qq", data, start + 16 * index)
        index += 1
        starts.append(offset + meta + at)
    return int(struct.unpack_from("<q", data, place)[0]) if place else 0, starts


def root(data: memoryview, at: int) -> int:
    """Position of the root table of a flatbuffer."""
    return at + int(struct.unpack_from("<I", data, at)[0])


def field(data: memoryview, table: int, number: int) -> int:
    """Position of a field of a flatbuffer table, 0 when it is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    (length,) = struct.unpack_from("<H", data, vtable)
    slot = 4 + 2 * number
    (offset,) = struct.unpack_from("<H", data, vtable + slot) if slot < length else (0,)
    return table + offset if offset else 0


def indirect(data: memoryview, table: int, number: int) -> int:
    """Position of what a field points to. ValueError when it is absent."""
    at = field(data, table, number)
    if not at:
        raise ValueError("the Arrow file lacks a field that it must have")
    return at + int(struct.unpack_from("<I", data, at)[0])


def vector(data: memoryview, table: int, number: int) -> tuple[int, int]:
    """(position of the first item, number of items)."""
    at = indirect(data, table, number)
    return at + 4, int(struct.unpack_from("<I", data, at)[0])
