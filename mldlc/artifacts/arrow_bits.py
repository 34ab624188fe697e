"""Clears the unused bits of an Arrow IPC file: Polars leaves in them what its kernels left, so equal rows could differ.

Which bits those are hangs on slices, chunks and threads (Polars 2.1: `[True, True]` ends in 0x03 or 0xff).
Only the last byte of a bitmap has any (https://arrow.apache.org/docs/format/Columnar.html#buffer-alignment-and-padding).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from mldlc.artifacts.arrow_map import batches, field, indirect, root, vector


def clear_unused_bits(path: Path, dtypes: Iterable[pl.DataType]) -> None:
    """Zero the bits beyond the last row in every bitmap of an uncompressed file, in place. dtypes: of its columns."""
    dtypes = list(dtypes)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        view = memoryview(data)
        try:
            for offset, meta, _ in batches(view, path):
                for start, length, rows in _bitmaps(view, offset, dtypes):
                    last = offset + meta + start + rows // 8
                    if rows % 8 and rows // 8 < length:
                        view[last] &= (1 << rows % 8) - 1
        finally:
            view.release()


def _bitmaps(data: memoryview, offset: int, dtypes: list[pl.DataType]) -> Iterator[tuple[int, int, int]]:
    """(start in the body, bytes, rows) of each bitmap of the batch at `offset`."""
    batch = indirect(data, root(data, offset + 8), 2)
    if not field(data, batch, 1):
        return
    nodes, _ = vector(data, batch, 1)
    buffers, _ = vector(data, batch, 2)
    node = buffer = 0
    for rows_of, is_bitmap in _layout(dtypes):
        if rows_of:
            (rows,) = struct.unpack_from("<q", data, nodes + 16 * node)
            node += 1
        if is_bitmap is None:
            continue
        if is_bitmap:
            start, length = struct.unpack_from("<qq", data, buffers + 16 * buffer)
            yield start, length, rows
        buffer += 1


def _layout(dtypes: Iterable[pl.DataType]) -> Iterator[tuple[bool, bool | None]]:
    """Buffers in the file's order: (whether a new column begins, whether it is a bitmap; None: no buffer)."""
    for dtype in dtypes:
        if dtype == pl.Null:
            yield True, None
            continue
        yield True, True  # validity
        if isinstance(dtype, pl.Struct):
            yield from _layout(item.dtype for item in dtype.fields)
        elif isinstance(dtype, pl.Array):
            yield from _layout([dtype.inner])
        elif isinstance(dtype, pl.List):
            yield False, False
            yield from _layout([dtype.inner])
        elif dtype in (pl.String, pl.Binary):
            yield from ((False, False), (False, False))
        else:
            yield False, dtype == pl.Boolean
