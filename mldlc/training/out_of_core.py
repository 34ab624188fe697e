"""`ingest=streaming` and `ingest=auto`: the rows of a prepared table in blocks, held in memory or read from disk."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mldlc.artifacts.blocks import Blocks
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table
from mldlc.plan.context import Context, StepError
from mldlc.training.buffer import Buffer, Chosen, Field, copied, encoded
from mldlc.training.hold import budget, choose
from mldlc.training.order import Order
from mldlc.training.ranks import Ranks
from mldlc.training.rows import Form, check_labels
from mldlc.training.streaming import StreamLoader


class StreamedRows:
    """The rows of a table by part of its split; see `mldlc.training.rows.Rows`."""

    def __init__(self, ctx: Context, cfg: Any, table: Table, split: Split, ranks: Ranks) -> None:
        self.cfg, self.table, self.ranks = cfg, table, ranks
        ingest, shards = cfg.ingest, ranks.shard.world
        if ingest.lanes < shards:
            raise StepError(
                f"{ingest.lanes} lanes cannot be read by {shards} ranks", where="ingest.lanes",
                hint=f"set ingest.lanes to {shards} or more",
            )  # fmt: skip
        cache = ctx.scratch / "decoded" if ingest.cache else None
        self.blocks = Blocks(table, ingest.block_rows, cache)
        self.codes, self.names = split.codes(), split.names
        if len(self.codes) != table.rows:
            raise StepError(
                f"the split has {len(self.codes)} rows and the table has {table.rows}", where="lifecycle.stages",
                hint="bind the split and the prepared table of the same stage",
            )  # fmt: skip
        size = table.rows * self.blocks.row_bytes
        self.hold, why = choose(ingest.hold, size, budget(ingest.memory_gb))
        self.workers = 1 if ingest.workers is None else ingest.workers
        self.fed = {
            "held": f"{'in memory' if self.hold == 'memory' else 'on disk'} ({why})", "workers": self.workers
        }  # fmt: skip
        ctx.log.info("the table is held %s", self.fed["held"])
        if self.hold == "memory":
            self.blocks.load()
        else:
            self.blocks.decode()

    def count(self, part: str) -> int:
        return int(self._chosen(part).counts.sum()) if part in self.names else 0

    def labels(self, part: str) -> np.ndarray:
        if part not in self.names:
            return np.empty(0, np.float32)
        chosen = self._chosen(part)
        counts = chosen.counts
        found, at = np.empty(int(counts.sum()), self.blocks.dtype("label")), 0
        for block in np.flatnonzero(counts):
            rows = chosen.within(int(block))
            values = found[at : at + len(rows)]
            values[:] = self.blocks.read(int(block), "label")["label"][rows]
            check_labels(values, rows + chosen.starts[block], part)
            at += len(rows)
        return found

    def train(self, form: Form) -> StreamLoader:
        ingest = self.cfg.ingest
        chosen = self._chosen("train")
        order = Order(
            chosen.counts, ingest.batch_size, ingest.lanes, ingest.buffer_rows, self.cfg.trainer.seed,
            ingest.shuffle and not self.cfg.trainer.overfit_batches, ingest.drop_last,
        )  # fmt: skip
        epochs = self.cfg.trainer.max_epochs
        return self._loader(form, chosen, order, sys.maxsize if epochs < 0 else epochs)

    def val(self, form: Form) -> StreamLoader:
        """Every rank reads a run of the rows, each batch has some of each."""
        chosen, ingest = self._chosen("val"), self.cfg.ingest
        order = Order(chosen.counts, ingest.eval_batch_size, self.ranks.shard.world, ingest.block_rows, even=True)
        return self._loader(form, chosen, order)

    def _chosen(self, part: str) -> Chosen:
        return Chosen(self.blocks.starts, self.codes, self.names.index(part))

    def _loader(self, form: Form, chosen: Chosen, order: Order, epochs: int = 1) -> StreamLoader:
        weighted = "weight" in self.blocks.names

        def buffered(lanes: range) -> Buffer:
            return Buffer(self.blocks, chosen, order, lanes, self._fields(form), self.workers)

        def sample(count: int) -> tuple[Tensor, ...]:
            """Rows of blocks that are evenly spread over the table."""
            counts = chosen.counts
            blocks = np.flatnonzero(counts)
            wanted = min(len(blocks), max(1, -(-count // max(1, int(counts.mean())))))
            spread = blocks[np.linspace(0, len(blocks) - 1, wanted).astype(np.int64)]
            parts = [self._rows(form, int(block), chosen.within(int(block))) for block in spread]
            return tuple(torch.cat(column)[:count] for column in zip(*parts, strict=True))

        return StreamLoader(
            order, chosen, buffered, collate=form.batch, shard=self.ranks.shard, epochs=epochs,
            weight=3 if form.weighs and weighted else None, sample=sample,
        )  # fmt: skip

    def _rows(self, form: Form, block: int, rows: np.ndarray) -> tuple[Tensor, ...]:
        """Some rows of a block as the columns of a batch, (numeric, categorical, label[, weight])."""
        columns = self.blocks.read(block)
        made = [torch.from_numpy(field.take(columns, rows)) for field in self._fields(form)]
        return (made[0].float(), made[1].int(), *made[2:])

    def _fields(self, form: Form) -> list[Field]:
        info, names = self.table.info, self.blocks.names
        fields = []
        for name, width, default in (
            ("numeric", len(info["numeric"]), np.float32), ("categorical", len(info["categorical"]), np.int32),
        ):  # fmt: skip
            dtype = self.blocks.dtype(name) if name in names else np.dtype(default)
            fields.append(copied(name, (width,), dtype))
        fields.append(encoded(form.encode, form.encode(np.array(self.blocks.read(0, "label")["label"][:1]))))
        if "weight" in names:
            fields.append(copied("weight", (), np.dtype(np.float32)))
        return fields
