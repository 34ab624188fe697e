"""Maps the fixed-width columns of an uncompressed Arrow IPC file as NumPy arrays: no copy, pages shared and lazy.

Polars copies a file while it reads it, which doubles the memory of a training set. Only what the tensor layout needs of
the format is read here (https://arrow.apache.org/docs/format/Columnar.html, File.fbs, Message.fbs).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence
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
    return [_batch(data, path, offset, meta, columns) for offset, meta, _ in batches(data, path)]


class ArrowRows:
    """Runs of rows of a file, read-only: its pages are the file's own and are given back when the arrays go.

    columns: as in `map_columns`. Safe to read from several threads.
    """

    def __init__(self, path: Path, columns: Sequence[tuple[np.dtype, int | None]]) -> None:
        self.path, self.columns = path, tuple(columns)
        data = _mapped(path, mmap.ACCESS_READ)
        self._batches = [(offset, meta) for offset, meta, _ in batches(data, path)]
        self._ends = np.cumsum([_rows(data, offset) for offset, _ in self._batches])

    def read(self, start: int, stop: int) -> list[np.ndarray]:
        """Rows [start, stop) of every column: views where they lie in one record batch, else copies."""
        data = _mapped(self.path, mmap.ACCESS_READ)
        first, last = (int(np.searchsorted(self._ends, row, "right")) for row in (start, stop - 1))
        found = []
        for number in range(first, last + 1):
            before = int(self._ends[number - 1]) if number else 0
            arrays = _batch(data, self.path, *self._batches[number], self.columns)
            found.append([array[max(0, start - before) : stop - before] for array in arrays])
        return found[0] if len(found) == 1 else [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _mapped(path: Path, access: int) -> memoryview:
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=access)) if path.stat().st_size else memoryview(b"")


def _rows(data: memoryview, offset: int) -> int:
    """Rows of the record batch at `offset`."""
    at = field(data, indirect(data, root(data, offset + 8), 2), 0)
    return int(struct.unpack_from("<q", data, at)[0]) if at else 0


def batches(data: memoryview, path: Path) -> list[tuple[int, int, int]]:
    """(offset, bytes of metadata, bytes of body) of each record batch. ValueError when it is no Arrow IPC file."""
    if bytes(data[:6]) != MAGIC or bytes(data[-6:]) != MAGIC:
        raise ValueError(f"{path} is no Arrow IPC file")
    (length,) = struct.unpack_from("<i", data, len(data) - 10)
    start, count = vector(data, root(data, len(data) - 10 - length), 3)
    return [struct.unpack_from("<qi4xq", data, start + 24 * i) for i in range(count)]


def _batch(
    data: memoryview, path: Path, offset: int, meta: int, columns: Sequence[tuple[np.dtype, int | None]]
) -> list[np.ndarray]:
    batch = indirect(data, root(data, offset + 8), 2)
    if field(data, batch, 3):
        raise ValueError(f"{path} is compressed")
    rows = _rows(data, offset)
    nodes, node_count = vector(data, batch, 1)
    if any(struct.unpack_from("<qq", data, nodes + 16 * i)[1] for i in range(node_count)):
        raise ValueError(f"{path} has nulls")
    start, _ = vector(data, batch, 2)
    arrays, index = [], 0
    for dtype, width in columns:
        index += 1 if width is None else 2  # validity of the column, and of the list's items
        (at, _length) = struct.unpack_from("<qq", data, start + 16 * index)
        index += 1
        flat = np.frombuffer(data, dtype, rows * (width or 1), offset + meta + at)
        arrays.append(flat if width is None else flat.reshape(rows, width))
    return arrays


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
