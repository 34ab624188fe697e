"""The tensor layout of a prepared table: one array column a block of features, mapped from disk without a copy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.table import Column, Table, write_manifest

LAYOUT = "tensor"
BATCH_ROWS = 1 << 22  # one record batch for usual partitions: a column of one batch is mapped, not copied


@dataclass(frozen=True)
class Tensors:
    """A prepared table as arrays of one row count.

    numeric: float32 (rows, F). categorical: int32 (rows, K), each below its cardinality. label: int32 class index or
    float32 value, (rows,). weight: float32 (rows,) or None. info: the table's `info` (names, cardinalities, classes).
    The arrays may be read-only views of the file: copy before writing into them.
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
    names = {column.name for column in table.columns}
    frame = table.load(None if partition is None else table.partitions[partition])
    return Tensors(
        numeric=_block(frame, "numeric", np.float32),
        categorical=_block(frame, "categorical", np.int32),
        label=frame["label"].to_numpy(),
        weight=frame["weight"].to_numpy() if "weight" in names else None,
        info=table.info,
    )


def _block(frame: pl.DataFrame, name: str, dtype: type) -> np.ndarray:
    if name not in frame.columns:
        return np.empty((frame.height, 0), dtype)
    return frame[name].to_numpy()


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


def write_tensors(out: Path, partitions: Iterable[tuple[str, pl.DataFrame]], info: Mapping[str, Any]) -> int:
    """Write frames in tensor layout (see `tensor_frame`) as a Table artifact and give the number of rows.

    info: {"numeric": [names], "categorical": [{"name", "cardinality", "values"}], "label": {"name", "kind", "classes"}};
    `layout` is added. The label is mandatory in a written table.
    """
    parts: list[dict[str, Any]] = []
    columns: list[Column] = []
    for number, (name, frame) in enumerate(partitions):
        if "label" not in frame.columns:
            raise ValueError("a prepared table needs the column 'label'")
        file = f"part-{number:05d}.arrow"
        frame.write_ipc(out / file, compression="uncompressed", record_batch_size=BATCH_ROWS)
        parts.append({"name": name, "file": file, "rows": frame.height})
        roles = {"label": "label", "weight": "weight"}
        columns = [Column(n, str(t), roles.get(n, "feature")) for n, t in frame.schema.items()]
    write_manifest(out, columns, parts, {**info, "layout": LAYOUT})
    return sum(part["rows"] for part in parts)
