"""The tensor layout of a prepared table: one array column a block of features, mapped from disk without a copy.

Arrow files are mapped as they lie; Parquet (`storage: parquet`) takes less disk and is decoded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.arrow_map import map_columns
from mldlc.artifacts.table import Column, Partition, Table, write_manifest

LAYOUT = "tensor"
ROW_GROUP = 1 << 14  # rows of a Parquet row group: what streaming decodes at a time
TYPES = {"Float32": "<f4", "Float16": "<f2", "Int32": "<i4", "Int16": "<i2", "Int8": "<i1"}
BATCH_ROWS = 1 << 22  # one record batch for usual partitions: a column of one batch is mapped, not copied


@dataclass(frozen=True)
class Tensors:
    """A prepared table as arrays of one row count.

    numeric: float32 (rows, F). categorical: int32 (rows, K), each below its cardinality. label: int32 class index or
    float32 value, (rows,). weight: float32 (rows,) or None. info: the table's `info` (names, cardinalities, classes).
    Arrays of one partition are views of the file; writing into them changes private memory only.
    """

    numeric: np.ndarray
    categorical: np.ndarray
    label: np.ndarray
    weight: np.ndarray | None
    info: dict[str, Any]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.label)


def load_tensors(table: Table, partition: int | None = None) -> Tensors:
    """The arrays of a prepared table, or of one of its partitions; a single partition is mapped without a copy.

    ValueError when the table is not in tensor layout.
    """
    if table.info.get("layout") != LAYOUT:
        raise ValueError(
            f"the table has layout {table.info.get('layout')!r}, wanted {LAYOUT!r}: is it a prepared table?"
        )
    parts = table.partitions if partition is None else [table.partitions[partition]]
    shapes = [shape_of(column.dtype) for column in table.columns]
    batches = [batch for part in parts for batch in _read(table, part, shapes)]
    arrays = {
        column.name: _joined([batch[i] for batch in batches], *shapes[i]) for i, column in enumerate(table.columns)
    }
    rows = len(arrays["label"])
    return Tensors(
        numeric=arrays.get("numeric", np.empty((rows, 0), np.float32)).astype(np.float32, copy=False),
        categorical=arrays.get("categorical", np.empty((rows, 0), np.int32)).astype(np.int32, copy=False),
        label=arrays["label"],
        weight=arrays.get("weight"),
        info=table.info,
    )


def is_parquet(part: Partition) -> bool:
    """Whether a partition is stored as Parquet."""
    return part.file.endswith(".parquet")


def _read(table: Table, part: Partition, shapes: Sequence[tuple[np.dtype, int | None]]) -> list[list[np.ndarray]]:
    """Arrays of each record batch of a partition, of the whole of it where it is Parquet."""
    path = table.artifact.file(part.file)
    if not is_parquet(part):
        return map_columns(path, shapes)
    frame = pl.read_parquet(path, glob=False)
    return [[array_of(frame[column.name], *shape) for column, shape in zip(table.columns, shapes, strict=True)]]


def array_of(column: pl.Series, dtype: np.dtype, width: int | None) -> np.ndarray:
    """A column as the array that the layout says, (rows,) or (rows, width)."""
    return np.ascontiguousarray(column.to_numpy(), dtype).reshape((-1,) if width is None else (-1, width))


def shape_of(dtype: str) -> tuple[np.dtype, int | None]:
    """(item type, width) of a column's Polars type, e.g. `Array(Float32, shape=(14,))` or `Int32`."""
    width = re.search(r"shape=\((\d+),", dtype)
    item = dtype.removeprefix("Array(").partition(",")[0]
    return np.dtype(TYPES[item]), int(width[1]) if width else None


def _joined(arrays: list[np.ndarray], dtype: np.dtype, width: int | None) -> np.ndarray:
    if not arrays:
        return np.empty((0,) if width is None else (0, width), dtype)
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def tensor_frame(
    numeric: np.ndarray, categorical: np.ndarray, label: np.ndarray | None = None, weight: np.ndarray | None = None
) -> pl.DataFrame:
    """A frame in tensor layout over the given arrays, which it does not copy; empty blocks and None are left out."""
    columns = []
    for name, block, dtype in (("numeric", numeric, np.float32), ("categorical", categorical, np.int32)):
        if block.shape[1]:
            columns.append(pl.Series(name, np.ascontiguousarray(block, dtype)))
    if label is not None:
        columns.append(pl.Series("label", np.ascontiguousarray(label)))
    if weight is not None:
        columns.append(pl.Series("weight", np.ascontiguousarray(weight, np.float32)))
    return pl.DataFrame(columns)


def compact(frame: pl.DataFrame, info: Mapping[str, Any], precision: int) -> pl.DataFrame:
    """The frame with numbers in float16 (`precision` 16) and codes in the smallest type that holds their cardinality.

    ValueError for a number beyond float16.
    """
    if precision == 32:
        return frame
    casts = []
    if "numeric" in frame.columns:
        block = frame["numeric"].to_numpy()
        if (most := np.abs(block).max(initial=0)) > np.finfo(np.float16).max:
            raise ValueError(f"a numeric feature reaches {most:g}, and float16 ends at 65504")
        casts.append(pl.col("numeric").cast(pl.Array(pl.Float16, block.shape[1])))
    if "categorical" in frame.columns:
        codes = max(int(item["cardinality"]) for item in info["categorical"])
        item = pl.Int8 if codes <= 1 << 7 else pl.Int16 if codes <= 1 << 15 else pl.Int32
        casts.append(pl.col("categorical").cast(pl.Array(item, len(info["categorical"]))))
    return frame.with_columns(casts)


def write_tensors(
    out: Path, partitions: Iterable[tuple[str, pl.DataFrame]], info: Mapping[str, Any], storage: str = "arrow"
) -> int:
    """Write frames in tensor layout (see `tensor_frame`) as a Table artifact and give the number of rows.

    info: {"numeric": [names], "categorical": [{"name", "cardinality", "values"}], "label": {"name", "kind",
    "classes"}}; `layout` is added. The label is mandatory in a written table.
    """
    parts: list[dict[str, Any]] = []
    schema: Mapping[str, pl.DataType] = {}
    for number, (name, frame) in enumerate(partitions):
        file = f"part-{number:05d}.{storage}"
        write_tensor_part(out / file, frame, storage)
        parts.append({"name": name, "file": file, "rows": frame.height})
        schema = frame.schema
    write_tensor_manifest(out, schema, parts, info)
    return sum(part["rows"] for part in parts)


def write_tensor_part(path: Path, frame: pl.DataFrame, storage: str = "arrow") -> None:
    """Write one partition, as `arrow` or `parquet`; ValueError without a label."""
    if "label" not in frame.columns:
        raise ValueError("a prepared table needs the column 'label'")
    if storage == "parquet":
        frame.rechunk().write_parquet(path, compression="zstd", statistics=False, row_group_size=ROW_GROUP)
        return
    frame.write_ipc(path, compression="uncompressed", record_batch_size=BATCH_ROWS)


def write_tensor_manifest(
    out: Path, schema: Mapping[str, pl.DataType], parts: Sequence[Mapping[str, Any]], info: Mapping[str, Any]
) -> None:
    """Write the manifest of a table whose partitions {name, file, rows} are written. info: see `write_tensors`."""
    roles = {"label": "label", "weight": "weight"}
    columns = [Column(name, str(dtype), roles.get(name, "feature")) for name, dtype in schema.items()]
    write_manifest(out, columns, parts, {**info, "layout": LAYOUT})
