"""Streaming beside bare readers of the same files: Parquet row groups and mapped Arrow rows, one epoch each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
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


def blocks(table: Table) -> tuple[int, Callable[[int], list[np.ndarray]]]:
    """(how many, reader of one): row groups decoded, or as many mapped rows copied, to arrays as batches have them."""
    part, names = table.partitions[0], [column.name for column in table.columns]
    shapes = [shape_of(column.dtype) for column in table.columns]
    path, ends = table.artifact.file(part.file), range(ROW_GROUP, part.rows + ROW_GROUP, ROW_GROUP)
    if part.file.endswith(".arrow"):
        rows = ArrowRows(path, shapes)
        return len(ends), lambda n: [a.copy() for a in rows.read(n * ROW_GROUP, min(ends[n], part.rows))]
    frame = pl.scan_parquet(path, glob=False)

    def decoded(number: int) -> list[np.ndarray]:
        group = frame.slice(number * ROW_GROUP, ROW_GROUP).collect()
        return [np.require(array_of(group[n], *s), requirements="W") for n, s in zip(names, shapes, strict=True)]

    return len(ends), decoded


def cut(arrays: list[np.ndarray], batch: int) -> Iterator[tuple[Tensor, ...]]:
    """Slices of a block as batches; the label becomes float32, as a loss wants it."""
    numeric, categorical, label = (torch.from_numpy(array) for array in arrays)
    label = label.float()
    for at in range(0, len(label), batch):
        yield tuple(tensor[at : at + batch] for tensor in (numeric, categorical, label))


def bare(table: Table, batch: int) -> Iterator[tuple[Tensor, ...]]:
    """The floor: one block after the other, in the order of the file, read and cut. Nothing is shuffled."""
    count, read = blocks(table)
    for number in range(count):
        yield from cut(read(number), batch)


def mixed(table: Table, batch: int, buffer_rows: int = 131_072) -> Iterator[tuple[Tensor, ...]]:
    """What a training needs, by hand: blocks in a new order, as many as fill the buffer, and its rows permuted."""
    count, read = blocks(table)
    order, some = np.random.default_rng(0).permutation(count).tolist(), buffer_rows // ROW_GROUP
    for first in range(0, count, some):
        parts = [read(number) for number in order[first : first + some]]
        numeric, categorical, label = (torch.from_numpy(np.concatenate(c)) for c in zip(*parts, strict=True))
        label, index = label.float(), torch.randperm(len(label))
        for at in range(0, len(index), batch):
            taken = index[at : at + batch]
            yield tuple(tensor.index_select(0, taken) for tensor in (numeric, categorical, label))


def batched(table: Table, batch: int) -> Iterator[tuple[Tensor, ...]]:
    """Polars' own reader of a Parquet file in pieces, on all cores, in the order of the file."""
    part, shapes = table.partitions[0], {column.name: shape_of(column.dtype) for column in table.columns}
    frame = pl.scan_parquet(table.artifact.file(part.file), glob=False)
    for piece in frame.collect_batches(chunk_size=ROW_GROUP, maintain_order=True):
        yield from cut([np.require(array_of(piece[n], *s), requirements="W") for n, s in shapes.items()], batch)


def ours(table: Table, split: Split, folder: Path, batch: int, **ingest: object) -> StreamLoader:
    """The loader of `ingest=streaming` as shipped, but for the keys given."""
    config = tables.config() | {"ingest": {"kind": "streaming", "batch_size": batch, "hold": "disk", **ingest}}
    context = HarnessContext(folder, log=logging.getLogger("bench"))
    rows = StreamedRows(context, validated(TRAIN, config), table, split, Ranks())
    return rows.train(Form("columns", lambda label: torch.from_numpy(label).float()))
