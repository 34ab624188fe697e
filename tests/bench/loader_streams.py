"""Streaming beside bare readers of the same files: Parquet row groups and mapped Arrow rows, one epoch each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from mldlc.artifacts.arrow_map import ArrowRows
from mldlc.artifacts.split import Split, write_split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import ROW_GROUP, array_of, shape_of, tensor_frame, write_tensors
from mldlc.training.out_of_core import StreamedRows
from mldlc.training.ranks import Ranks
from mldlc.training.rows import Form
from mldlc.training.spec import TRAIN
from mldlc.training.streaming import StreamLoader
from tests.step_harness import HarnessContext, artifact, validated
from tests.training import tables


def write(folder: Path, columns: dict[str, np.ndarray], storage: str) -> tuple[Table, Split]:
    """A prepared table whose rows are all for training."""
    rows, codes = len(columns["label"]), columns["categorical"]
    info = {
        "numeric": [f"n{i}" for i in range(columns["numeric"].shape[1])],
        "categorical": [{"name": f"c{i}", "cardinality": 10, "values": []} for i in range(codes.shape[1])],
        "label": {"name": "label", "kind": "class", "classes": ["a", "b"]},
    }
    (folder / storage).mkdir(parents=True)
    (folder / f"{storage}-split").mkdir()
    write_tensors(folder / storage, [("all", tensor_frame(**columns))], info, storage)
    write_split(folder / f"{storage}-split", ("train", "val"), [("all", np.zeros(rows, np.uint8))])
    table, split = artifact("Table", folder / storage), artifact("Split", folder / f"{storage}-split")
    return Table(table), Split(split)


def bare(table: Table, batch: int) -> Iterator[tuple[Tensor, ...]]:
    """The floor: one run of rows after the other, in the order of the file, copied once, cut into batches."""
    part, names = table.partitions[0], [column.name for column in table.columns]
    shapes = [shape_of(column.dtype) for column in table.columns]
    path = table.artifact.file(part.file)
    rows = ArrowRows(path, shapes) if part.file.endswith(".arrow") else None
    for start in range(0, part.rows, ROW_GROUP):
        if rows is not None:
            arrays = [array.copy() for array in rows.read(start, min(start + ROW_GROUP, part.rows))]
        else:
            frame = pl.scan_parquet(path, glob=False).slice(start, ROW_GROUP).collect()
            arrays = [array_of(frame[name], *shape) for name, shape in zip(names, shapes, strict=True)]
        tensors = [torch.from_numpy(np.require(array, requirements="W")) for array in arrays]
        for at in range(0, len(tensors[0]), batch):
            yield tuple(tensor[at : at + batch] for tensor in tensors)


def ours(table: Table, split: Split, folder: Path, batch: int, **ingest: object) -> StreamLoader:
    """The loader of `ingest=streaming` as shipped, but for the keys given."""
    config = tables.config() | {"ingest": {"kind": "streaming", "batch_size": batch, "hold": "disk", **ingest}}
    context = HarnessContext(folder, log=logging.getLogger("bench"))
    rows = StreamedRows(context, validated(TRAIN, config), table, split, Ranks())
    return rows.train(Form("columns", lambda label: torch.from_numpy(label).float()))
