"""`ingest=in_core`: the rows of a prepared table as tensors in memory, mapped where the table is one file."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mldlc.artifacts.model import joined
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import load_tensors
from mldlc.plan.context import Context
from mldlc.training.loader import BatchLoader
from mldlc.training.ranks import Ranks
from mldlc.training.rows import Form, check_labels


class CoreRows:
    """The rows of a table by part of its split; see `mldlc.training.rows.Rows`."""

    def __init__(self, ctx: Context, cfg: Any, table: Table, split: Split, ranks: Ranks) -> None:
        self.cfg, self.ranks = cfg, ranks
        self.data = load_tensors(table)
        self.parts = {name: split.rows(name) for name in split.names}
        self.fed = {"held": "in memory"}

    def count(self, part: str) -> int:
        return len(self.parts.get(part, ()))

    def labels(self, part: str) -> np.ndarray:
        rows = self.parts.get(part, np.empty(0, np.int64))
        values = self.data.label[rows]
        check_labels(values, rows, part)
        return values

    def train(self, form: Form) -> BatchLoader:
        ingest, shard = self.cfg.ingest, self.ranks.shard
        tensors = self._tensors(form)
        weight = tensors[3] if form.weighs and len(tensors) > 3 else None
        return BatchLoader(
            tensors, torch.from_numpy(self.parts["train"]), ingest.batch_size,
            shuffle=ingest.shuffle and not self.cfg.trainer.overfit_batches, drop_last=ingest.drop_last,
            seed=self.cfg.trainer.seed, collate=form.whole, shard=shard, weight=weight,
        )  # fmt: skip

    def val(self, form: Form) -> BatchLoader:
        shard = self.ranks.shard
        return BatchLoader(
            self._tensors(form), torch.from_numpy(self.parts["val"]), self.cfg.ingest.eval_batch_size,
            collate=form.whole, shard=shard, even=shard.world > 1,
        )  # fmt: skip

    def _tensors(self, form: Form) -> list[Tensor]:
        data = self.data
        numeric, categorical = torch.from_numpy(data.numeric), torch.from_numpy(data.categorical)
        label = form.encode(data.label)
        if form.style == "joined":
            return [joined(numeric, categorical), label]
        weight = [] if data.weight is None else [torch.from_numpy(data.weight).float()]
        return [numeric, categorical, label, *weight]
