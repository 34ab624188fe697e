"""Tables: Arrow IPC partitions and a manifest with column roles. Canonical: equal rows give equal bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from mldlc.artifacts.arrow_bits import clear_unused_bits
from mldlc.artifacts.handle import Artifact

FORMAT = "mldlc.table/1"
BATCH_ROWS = 1 << 16  # record batches have a fixed size, so the bytes do not depend on how the frame was chunked
ROLES = ("feature", "label", "row_id", "entity", "event_time", "created_time", "weight", "group", "ignore")


@dataclass(frozen=True)
class Column:
    """One column. role: one of ROLES. info: facts for later steps (cardinality, classes, names in a tensor column)."""

    name: str
    dtype: str
    role: str = "feature"
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Partition:
    """One file of the table: its logical name, file inside the artifact and number of rows."""

    name: str
    file: str
    rows: int


class Table:
    """Reads a Table artifact. Partitions keep their order; row identity is (partition digest, offset)."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        manifest = artifact.json("manifest.json")
        self.columns = tuple(Column(**item) for item in manifest["columns"])
        self.partitions = tuple(Partition(**item) for item in manifest["partitions"])
        self.rows: int = manifest["rows"]
        self.info: dict[str, Any] = manifest.get("info", {})

    def column(self, name: str) -> Column:
        """The column of that name; KeyError when there is none."""
        return {c.name: c for c in self.columns}[name]

    def role(self, role: str) -> list[Column]:
        """Columns with a role, in table order."""
        return [column for column in self.columns if column.role == role]

    def digest(self, partition: Partition) -> str:
        """Digest of a partition's bytes: equal rows give equal ones."""
        return self.artifact.file_digest(partition.file)

    def only(self, partition: Partition) -> Table:
        """This table with one of its partitions."""
        part = copy(self)
        part.partitions, part.rows = (partition,), partition.rows
        return part

    def scan(self, partition: Partition | None = None) -> pl.LazyFrame:
        """Lazy frame over one partition or all of them in order; nothing is read yet."""
        parts = [partition] if partition else list(self.partitions)
        return pl.concat([scan_partition(self.artifact.file(p.file), p.file) for p in parts])

    def load(self, partition: Partition | None = None) -> pl.DataFrame:
        """The frame, whole, in memory; `scan` reads what is asked for."""
        parts = [partition] if partition else list(self.partitions)
        return pl.concat([load_partition(self.artifact.file(p.file), p.file) for p in parts])


def scan_partition(path: Path, name: str = "") -> pl.LazyFrame:
    """A partition, lazily: Arrow, or Parquet by its name in the table. A bracket in the path is just a bracket."""
    return pl.scan_parquet(path, glob=False) if name.endswith(".parquet") else pl.scan_ipc(path, glob=False)


def load_partition(path: Path, name: str = "") -> pl.DataFrame:
    """A partition in memory."""
    return scan_partition(path, name).collect()


def write_partition(frame: pl.DataFrame, path: Path) -> None:
    """Write one partition canonically: uncompressed Arrow IPC, fixed record batches, no metadata of time or host."""
    sink_partition(frame.lazy(), path)


def sink_partition(frame: pl.LazyFrame, path: Path) -> None:
    """Stream a lazy frame into one canonical partition: memory stays flat, equal rows give equal bytes.

    The bytes under a null and the buffers of text would else tell how the frame came about (and on how many threads):
    nulls lie over zeros, text is written with offsets, not as views, and unused bits are cleared.
    """
    schema = frame.collect_schema()
    frame.select(_canonical(name, dtype) for name, dtype in schema.items()).sink_ipc(
        path, compression="uncompressed", record_batch_size=BATCH_ROWS, compat_level=pl.CompatLevel.oldest()
    )
    clear_unused_bits(path, schema.dtypes())


def _canonical(name: str, dtype: pl.DataType) -> pl.Expr:
    zero = "" if dtype == pl.String else False if dtype == pl.Boolean else 0
    if not (dtype in (pl.String, pl.Boolean) or dtype.is_numeric() or dtype.is_temporal()):
        return pl.col(name)
    filled = pl.col(name).fill_null(pl.lit(zero).cast(dtype))
    return pl.when(pl.col(name).is_not_null()).then(filled).alias(name)


def write_table(
    out: Path,
    partitions: Iterable[tuple[str, pl.DataFrame]],
    columns: Sequence[Column] | None = None,
    *,
    roles: Mapping[str, str] | None = None,
    info: Mapping[str, Any] | None = None,
) -> int:
    """Write a Table artifact into `out` and give its number of rows. Partitions may be a generator.

    columns: full column facts; otherwise they come from the first frame, with `roles` by name ("feature" by default).
    """
    parts: list[dict[str, Any]] = []
    for number, (name, frame) in enumerate(partitions):
        file = f"part-{number:05d}.arrow"
        write_partition(frame, out / file)
        parts.append({"name": name, "file": file, "rows": frame.height})
        if columns is None:
            columns = [Column(n, str(t), (roles or {}).get(n, "feature")) for n, t in frame.schema.items()]
    write_manifest(out, columns or (), parts, info)
    return sum(part["rows"] for part in parts)


def write_manifest(
    out: Path, columns: Sequence[Column], parts: Sequence[Mapping[str, Any]], info: Mapping[str, Any] | None = None
) -> None:
    """Write `manifest.json` of a table whose partition files are already in `out`."""
    cols = [
        {"name": c.name, "dtype": c.dtype, "role": c.role, **({"info": dict(c.info)} if c.info else {})}
        for c in columns
    ]
    write_json(
        out / "manifest.json",
        {"format": FORMAT, "columns": cols, "partitions": list(parts), "rows": sum(p["rows"] for p in parts)}
        | ({"info": dict(info)} if info else {}),
    )


def write_json(path: Path, value: Any) -> None:
    """Canonical JSON text for artifacts: sorted keys, two spaces, one newline at the end; NaN is refused."""
    path.write_text(json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
