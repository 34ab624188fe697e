"""Feeds whole batches in the order of `mldlc.training.order`, from a table in memory or on disk, with exact resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mldlc.training.buffer import Buffer, Chosen
from mldlc.training.loader import Collate, Shard, timed
from mldlc.training.order import Order

WHOLE = Shard()
SAMPLE = 1 << 15  # rows that stand for all where a network looks at its inputs


class StreamLoader:
    """An iterable of batches like `BatchLoader`, whose `batch_size` counts the rows of all shards together, too.

    A shard reads its own lanes only. buffered: makes the buffer, for some lanes, when the first batch is asked for.
    epochs: after so many no further one is read ahead. weight: which of its tensors weighs the rows. mean: of a tensor
    over all shards, a collective. sample: so many rows.
    """

    def __init__(
        self,
        order: Order,
        chosen: Chosen,
        buffered: Callable[[range], Buffer],
        *,
        collate: Collate = tuple,
        shard: Shard = WHOLE,
        epochs: int = 1,
        weight: int | None = None,
        mean: Callable[[Tensor], Tensor] = lambda values: values,
        sample: Callable[[int], tuple[Tensor, ...]] = lambda rows: (),
    ) -> None:
        self.chosen, self.order, self._buffered, self.collate, self.shard = chosen, order, buffered, collate, shard
        self.epochs, self.weight, self.mean, self.sample = epochs, weight, mean, sample
        own = shard.cut(torch.arange(order.lanes)).tolist()
        self.lanes = range(own[0], own[-1] + 1)
        self.share, self.empty, self.waited = 1.0, False, 0.0
        self.epoch = self.position = 0
        self._served = False
        self._buffer: Buffer | None = None

    @property
    def count(self) -> int:
        """Rows of an epoch."""
        return self.order.rows

    def __len__(self) -> int:
        return self.order.batches

    def __iter__(self) -> Iterator[Any]:
        if self._served or self.position >= len(self):
            self.epoch, self.position = self.epoch + 1, 0
        self._served = False
        return timed(self, self._batches(self.epoch))

    def _batches(self, epoch: int) -> Iterator[Any]:
        if self._buffer is None:
            self._buffer = self._buffered(self.lanes)
        buffer, order = self._buffer, self.order
        for window in range(self.position // order.span, order.windows):
            cut, edges = buffer.window(epoch, window), order.edges(window, self.lanes).tolist()
            first, end = order.bounds(window)
            begun = False
            for position in range(self.position, end):
                start, stop = edges[position - first], edges[position - first + 1]
                at = start if start < stop else max(0, start - 1)
                batch = cut(at, max(stop, at + 1))
                self._weigh(batch, start < stop, position)
                self.position, self._served = position + 1, True
                yield self.collate(batch)
                if not begun:  # the batch before, of the last window, is let go by now
                    self._begin(buffer, epoch, window + 1)
                    begun = True

    def _begin(self, buffer: Buffer, epoch: int, window: int) -> None:
        """Have a window read ahead, behind the last one the next epoch's first."""
        if window < self.order.windows:
            buffer.begin(epoch, window)
        elif epoch + 1 < self.epochs:
            buffer.begin(epoch + 1, 0)

    def _weigh(self, batch: tuple[Tensor, ...], own: bool, position: int) -> None:
        """See `BatchLoader._weigh`: a shard without rows gets one that counts nothing."""
        if self.shard.world == 1 and self.weight is None:
            return
        mine = 0.0 if not own else float(len(batch[0]) if self.weight is None else batch[self.weight].double().sum())
        whole = float(self.order.before(position + 1) - self.order.before(position))
        if self.weight is not None:
            whole = self.shard.world * float(self.mean(torch.tensor(mine, dtype=torch.float64)))
        self.empty = not whole
        self.share = self.shard.world * mine / whole if whole else 0.0

    def first(self, count: int) -> tuple[Tensor, ...]:
        """Some rows to try a network on."""
        return self.sample(count)

    def inputs(self) -> Tensor:
        """The first tensor of a sample of rows: the same sample wherever the table is held."""
        return self.sample(SAMPLE)[0]

    def rows_at(self, epoch: int, position: int) -> np.ndarray:
        """Row numbers in the table of the batch that all shards got at that place."""
        window, every = position // self.order.span, range(self.order.lanes)
        numbers = self.chosen.numbers(self.order, epoch, window, every)
        start, stop = self.order.edges(window, every)[position - window * self.order.span :][:2]
        return numbers[start:stop]

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue there: the next `iter()` gives the rest of that epoch."""
        self.epoch, self.position, self._served = state["epoch"], state["position"], False
