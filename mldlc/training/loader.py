"""Feeds whole batches cut from tensors in memory; its position can be saved and restored in the middle of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

Collate = Callable[[tuple[Tensor, ...]], Any]


@dataclass(frozen=True)
class Shard:
    """Which part of every batch this process takes: the `rank`-th of `world` nearly equal ones."""

    rank: int = 0
    world: int = 1

    def cut(self, index: Tensor) -> Tensor:
        """The own part; without overlap, and all parts together are the whole."""
        return index.tensor_split(self.world)[self.rank]


class BatchLoader:
    """An iterable of batches over some rows of equally long tensors, for `Trainer.fit`.

    One `iter()` is one epoch. With `shuffle` every epoch has its own permutation, drawn from (seed, epoch) alone, so
    an epoch's order does not depend on what ran before it. `rows` (n,) int64 picks rows without copying the tensors.
    `batch_size` counts the rows of all shards together: position and length are the same in every shard. `even` cuts
    batches of nearly equal size, so that no shard of the last one is empty.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor],
        rows: Tensor,
        batch_size: int,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        collate: Collate = tuple,
        shard: Shard = Shard(),
        even: bool = False,
        weight: Tensor | None = None,
    ) -> None:
        self.tensors, self.rows, self.batch_size = tuple(tensors), rows, batch_size
        self.shuffle, self.drop_last, self.seed, self.collate = shuffle, drop_last, seed, collate
        self.shard, self.even, self.weight = shard, even, weight
        self.share = 1.0
        self.epoch = self.position = 0
        self._served = False

    def __len__(self) -> int:
        """Batches an epoch."""
        full, rest = divmod(len(self.rows), self.batch_size)
        batches = full + (1 if rest and not self.drop_last else 0)
        return min(batches, max(1, len(self.rows) // self.shard.world)) if self.even else batches

    def __iter__(self) -> Iterator[Any]:
        # Lightning also calls iter() only to look whether it works: an iterator that served nothing ends no epoch,
        # and draws no permutation
        if self._served or self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        self._served = False
        return self._batches(self.epoch)

    def order(self, epoch: int) -> Tensor:
        """The row numbers in the order of an epoch, (n,) int64."""
        if not self.shuffle:
            return self.rows
        return torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(self.rows.numpy()))

    def _batches(self, epoch: int) -> Iterator[Any]:
        order, size, batches = self.order(epoch), self.batch_size, len(self)
        while self.position < batches:
            start, end = self.position * size, (self.position + 1) * size
            if self.even:
                start, end = (len(order) * number // batches for number in (self.position, self.position + 1))
            index = self._own(order[start:end])
            self.position += 1
            self._served = True
            yield self.collate(tuple(tensor.index_select(0, index) for tensor in self.tensors))

    def _own(self, index: Tensor) -> Tensor:
        """This shard's rows of a batch; `share` becomes the factor on their mean loss.

        With it the mean over shards is the mean over the batch, also where parts differ in rows or weights. A part
        without rows gets one of the batch, which counts nothing: every shard must take the step.
        """
        if self.shard.world == 1:
            return index
        own = self.shard.cut(index)
        mine, whole = (float(len(i) if self.weight is None else self.weight[i].sum()) for i in (own, index))
        self.share = self.shard.world * mine / whole if whole else 1.0
        return own if len(own) else index[:1]

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue there: the next `iter()` gives the rest of that epoch."""
        self.epoch, self.position, self._served = state["epoch"], state["position"], False
