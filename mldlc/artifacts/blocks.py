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
    mapped afterwards (`decode` fills it); without one its row groups are decoded again at every read. After `load`
    nothing is read again.
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
        self._held: dict[str, list[np.ndarray]] = {}
        self._loaded = False
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
        """The columns of a block by name, read-only. only: one column is enough."""
        part, start, stop = self._places[number]
        if part.file in self._held:
            return {name: array[start:stop] for name, array in zip(self.names, self._held[part.file], strict=True)}
        path = self._arrow(part)
        if path is None:
            wanted = [only] if only else self.names
            frame = pl.scan_parquet(self.table.artifact.file(part.file), glob=False).select(wanted)
            return dict(zip(wanted, self._arrays(frame.slice(start, stop - start).collect()), strict=True))
        if path not in self._files:
            self._files[path] = ArrowRows(path, self.shapes, keep=self._loaded)
        return dict(zip(self.names, self._files[path].read(start, stop), strict=True))

    def decodes(self, number: int) -> bool:
        """Whether reading a block takes decoding it, each time."""
        part, *_ = self._places[number]
        return part.file not in self._held and self._arrow(part) is None

    def load(self) -> None:
        """Have the whole table in memory: Arrow files stay mapped, Parquet is decoded."""
        self._loaded = True
        for part in filter(is_parquet, self.table.partitions):
            self._held[part.file] = self._arrays(pl.read_parquet(self.table.artifact.file(part.file), glob=False))

    def _arrays(self, frame: pl.DataFrame) -> list[np.ndarray]:
        return [array_of(column, *self.shapes[self.names.index(column.name)]) for column in frame]

    def decode(self) -> None:
        """Fill the cache with what it lacks; one process does it, others wait for it."""
        for part in filter(is_parquet, self.table.partitions):
            decoded = self._arrow(part)
            if decoded is None:
                return
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

    def _arrow(self, part: Partition) -> Path | None:
        """The Arrow file to map for a partition, its own or the decoded one; None where there is no cache."""
        if not is_parquet(part):
            return self.table.artifact.file(part.file)
        return self.cache and self.cache / f"{self.table.artifact.digest[:16]}-{Path(part.file).stem}.arrow"
