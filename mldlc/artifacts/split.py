"""Splits: one small integer a row, aligned with the partitions of the table that was split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import load_partition, write_json, write_partition

FORMAT = "mldlc.split/1"


class Split:
    """Reads a Split artifact. `names[i]` is the part that code `i` stands for ("train", "val", "test", ...)."""

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        manifest = artifact.json("manifest.json")
        self.names: tuple[str, ...] = tuple(manifest["names"])
        self.counts: dict[str, int] = manifest["counts"]
        self.partitions: list[dict[str, Any]] = manifest["partitions"]

    def codes(self, partition: int | None = None) -> np.ndarray:
        """uint8 code of every row, shape (rows,), in table order."""
        chosen = self.partitions if partition is None else [self.partitions[partition]]
        series = [load_partition(self.artifact.file(p["file"]))["split"] for p in chosen]
        return np.asarray(pl.concat(series).to_numpy(), dtype=np.uint8) if series else np.empty(0, np.uint8)

    def mask(self, name: str) -> np.ndarray:
        """Boolean mask of the rows of one part, shape (rows,)."""
        return self.codes() == self.names.index(name)

    def rows(self, name: str) -> np.ndarray:
        """Row numbers of one part, ascending int64."""
        return np.flatnonzero(self.mask(name))


def write_split(
    out: Path, names: Sequence[str], partitions: Iterable[tuple[str, np.ndarray]], info: Mapping[str, Any] | None = None
) -> dict[str, int]:
    """Write a Split artifact; partitions are (name, uint8 codes), in the table's order. Gives rows per part."""
    parts, counts = [], np.zeros(len(names), dtype=np.int64)
    for number, (name, codes) in enumerate(partitions):
        file = f"part-{number:05d}.arrow"
        write_codes(out / file, codes)
        parts.append({"name": name, "file": file, "rows": len(codes)})
        counts += np.bincount(codes, minlength=len(names))
    return write_split_manifest(out, names, parts, counts, info)


def write_codes(path: Path, codes: np.ndarray) -> None:
    """Write the uint8 codes of one partition."""
    write_partition(pl.DataFrame({"split": np.asarray(codes, np.uint8)}), path)


def read_codes(path: Path) -> np.ndarray:
    """The uint8 codes of one partition."""
    return np.asarray(load_partition(path)["split"].to_numpy(), dtype=np.uint8)


def write_split_manifest(
    out: Path,
    names: Sequence[str],
    parts: Sequence[Mapping[str, Any]],
    counts: np.ndarray,
    info: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Write the manifest of a split whose partitions {name, file, rows} are written; counts: rows of each part, int."""
    totals = {name: int(n) for name, n in zip(names, counts, strict=True)}
    manifest = {
        "format": FORMAT, "names": list(names), "counts": totals, "partitions": list(parts), "info": dict(info or {})
    }  # fmt: skip
    write_json(out / "manifest.json", manifest)
    return totals
