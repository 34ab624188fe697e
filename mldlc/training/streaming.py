"""Feeds whole batches in the order of `mldlc.training.order`, from a table in memory or on disk, with exact resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mldlc.training.holder import Chosen, Holder
from mldlc.training.loader import Collate, Shard, timed
from mldlc.training.order import Order, find, size

WHOLE = Shard()
SAMPLE = 1 << 15  # rows that stand for all where a network looks at its inputs


class _Lane:
    """Hands out the rows of one lane from `row` on, as positions in the holder's tensors. slots: two of them."""

    def __init__(self, holder: Holder, order: Order, epoch: int, lane: int, row: int, slots: tuple[int, int]) -> None:
        self.holder, self.order, self.epoch, self.lane, self.slots = holder, order, epoch, lane, slots
        self.windows = order.windows(epoch, lane)
        self.number, before = find(self.windows, row)
        self.at, self.rows, self.length = row - before, np.empty(0, np.int64), 0
        self._open, self._begun, self.stale = False, self.number, True
        self.ahead()

    def ahead(self) -> None:
        """Have the present window and the next one brought in; what was taken before must be read by now."""
        while self._begun < min(len(self.windows), self.number + 2):
            number = self._begun
            self.holder.begin(self.slots[number % 2], self.windows[number], self._mix(number))
            self._begun += 1
        self.stale = False

    def _mix(self, number: int) -> Callable[[int], np.ndarray]:
        return lambda rows: self.order.mixed(self.epoch, self.lane, number, rows)

    def take(self, count: int, into: list[np.ndarray]) -> None:
        """Add the next `count` rows to `into`; at most two windows have them."""
        while count:
            if not self._open:
                self.rows, self._open = self.holder.positions(self.slots[self.number % 2]), True
                self.length = len(self.rows)
            start, self.at = self.at, min(self.at + count, self.length)
            into.append(self.rows[start : self.at])
            count -= self.at - start
            if self.at == self.length:
                self.number, self.at, self._open, self.stale = self.number + 1, 0, False, True


class StreamLoader:
    """An iterable of batches like `BatchLoader`, whose `batch_size` counts the rows of all shards together, too.

    A shard reads its own lanes only. hold: makes the holder, of so many slots, when the first batch is asked for.
    weight: which of its tensors weighs the rows. mean: of a tensor over all shards, a collective. sample: so many rows.
    """

    def __init__(
        self,
        order: Order,
        chosen: Chosen,
        hold: Callable[[int], Holder],
        *,
        collate: Collate = tuple,
        shard: Shard = WHOLE,
        weight: int | None = None,
        mean: Callable[[Tensor], Tensor] = lambda values: values,
        sample: Callable[[int], tuple[Tensor, ...]] = lambda rows: (),
    ) -> None:
        self.chosen, self.order, self._hold, self.collate, self.shard = chosen, order, hold, collate, shard
        self.weight, self.mean, self.sample = weight, mean, sample
        self.lanes = list(shard.cut(torch.arange(order.lanes)).tolist())
        self.share, self.waited = 1.0, 0.0
        self.epoch = self.position = 0
        self._served = False
        self._holder: Holder | None = None

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
        if self._holder is None:
            self._holder = self._hold(2 * len(self.lanes))
        holder, order = self._holder, self.order
        holder.reset()
        lanes = {
            lane: _Lane(holder, order, epoch, lane, order.cut(self.position, lane), (2 * place, 2 * place + 1))
            for place, lane in enumerate(self.lanes)
        }
        spare, (n, before) = np.zeros(1, np.int64), (order.lanes, order.before(self.position))
        while self.position < len(self):
            after = order.before(self.position + 1)
            taken: list[np.ndarray] = []
            for number, lane in lanes.items():
                lane.take((after + number) // n - (before + number) // n, taken)
            index = torch.from_numpy(np.concatenate(taken) if taken else spare)
            batch = tuple(tensor.index_select(0, index) for tensor in holder.tensors)
            self._weigh(batch, bool(taken), after - before)
            self.position, self._served, before = self.position + 1, True, after
            for lane in lanes.values():
                if lane.stale:
                    lane.ahead()
            yield self.collate(batch)

    def _weigh(self, batch: tuple[Tensor, ...], own: bool, rows: int) -> None:
        """See `BatchLoader._own`: a shard without rows gets one that counts nothing."""
        if self.shard.world == 1:
            return
        mine = 0.0 if not own else float(len(batch[0]) if self.weight is None else batch[self.weight].double().sum())
        whole = float(rows)
        if self.weight is not None:
            whole = self.shard.world * float(self.mean(torch.tensor(mine, dtype=torch.float64)))
        self.share = self.shard.world * mine / whole if whole else 1.0

    def first(self, count: int) -> tuple[Tensor, ...]:
        """Some rows to try a network on."""
        return self.sample(count)

    def inputs(self) -> Tensor:
        """The first tensor of a sample of rows: the same sample wherever the table is held."""
        return self.sample(SAMPLE)[0]

    def rows_at(self, epoch: int, position: int) -> np.ndarray:
        """Row numbers in the table of the batch that all shards got at that place."""
        found = []
        for lane in range(self.order.lanes):
            start, stop = (self.order.cut(at, lane) for at in (position, position + 1))
            windows = self.order.windows(epoch, lane)
            number, before = find(windows, start)
            while start < stop:
                rows = self.chosen.numbers(windows[number])
                mixed = rows[self.order.mixed(epoch, lane, number, len(rows))]
                found.append(mixed[start - before : stop - before])
                before += size(windows[number])
                start, number = min(stop, before), number + 1
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue there: the next `iter()` gives the rest of that epoch."""
        self.epoch, self.position, self._served = state["epoch"], state["position"], False
