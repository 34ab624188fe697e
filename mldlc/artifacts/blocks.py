"""Reads a prepared table block by block: runs of rows of a partition, so that no more of it is in memory at a time."""

from __future__ import annotations

import fcntl
from pathlib import Path

import numpy as np
import polars as pl

from mldlc.artifacts.arrow_map import ArrowRows
from mldlc.artifacts.table import Partition, Table
from mldlc.artifacts.tensors import array_of, is_parquet, shape_of

CACHED_ROWS = 1 << 16  # a record batch of the cache: what decoding holds in memory


class Blocks:
    """The rows of a table in blocks of at most `size`, partition after partition.

    starts: (blocks + 1,) row number at which each begins. cache: a folder for decoded Parquet, as Arrow files that are
    mapped afterwards; without one its row groups are decoded again at every read.
    """

    def __init__(self, table: Table, size: int, cache: Path | None = None) -> None:
        self.table, self.cache = table, cache
        self.names = [column.name for column in table.columns]
        self.shapes = [shape_of(column.dtype) for column in table.columns]
        self._places = [
            (part, start, min(start + size, part.rows))
            for part in table.partitions
            for start in range(0, part.rows, size)
        ]
        self._files: dict[Path, ArrowRows] = {}
        self.starts = np.cumsum([0, *(stop - start for _, start, stop in self._places)])

    def __len__(self) -> int:
        return len(self._places)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, uncompressed."""
        return sum(dtype.itemsize * (1 if width is None else width) for dtype, width in self.shapes)

    def dtype(self, name: str) -> np.dtype:
        """The stored type of a column's items."""
        return self.shapes[self.names.index(name)][0]

    def width(self, name: str) -> int:
        """Items of a row of an array column."""
        return self.shapes[self.names.index(name)][1] or 1

    def read(self, number: int, only: str | None = None) -> dict[str, np.ndarray]:
        """The columns of a block by name, read-only. only: one column."""
        part, start, stop = self._places[number]
        if is_parquet(part):
            decoded = self._cached(part)
            if decoded is None:
                path = self.table.artifact.file(part.file)
                wanted = [only] if only else self.names
                frame = pl.scan_parquet(path, glob=False).select(wanted).slice(start, stop - start).collect()
                return {name: array_of(frame[name], *self.shapes[self.names.index(name)]) for name in wanted}
            return dict(zip(self.names, self._rows_of(decoded).read(start, stop), strict=True))
        file = self.table.artifact.file(part.file)
        return dict(zip(self.names, self._rows_of(file).read(start, stop), strict=True))

    def _rows_of(self, path: Path) -> ArrowRows:
        if path not in self._files:
            self._files[path] = ArrowRows(path, self.shapes)
        return self._files[path]

    def decode(self) -> None:
        """Fill the cache with what it lacks; one process does it, others wait for it."""
        wanted = [(part, path) for part in self.table.partitions if (path := self._cached(part)) is not None]
        for part, decoded in wanted:
            decoded.parent.mkdir(parents=True, exist_ok=True)
            with decoded.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if decoded.exists():
                    continue
                fresh = decoded.with_suffix(".tmp")
                pl.scan_parquet(self.table.artifact.file(part.file), glob=False).sink_ipc(
                    fresh, compression="uncompressed", record_batch_size=CACHED_ROWS
                )
                fresh.replace(decoded)

    def _cached(self, part: Partition) -> Path | None:
        if self.cache is None or not is_parquet(part):
            return None
        return self.cache / f"{self.table.artifact.digest[:16]}-{Path(part.file).stem}.arrow"
