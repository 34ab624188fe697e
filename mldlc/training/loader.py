"""Feeds whole batches cut from tensors in memory; its position can be saved and restored in the middle of an epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mldlc.training.resident import ORDER

ALIGNED = 64  # bytes: where torch's own memory begins
TOGETHER_BYTES, TOGETHER_MOST = 1 << 21, 16  # of the batches that are gathered at once
Collate = Callable[[tuple[Tensor, ...]], Any]


@dataclass(frozen=True)
class Shard:
    """Which part of every batch this process takes: the `rank`-th of `world` nearly equal ones."""

    rank: int = 0
    world: int = 1

    def cut(self, index: Tensor) -> Tensor:
        """The own part; without overlap, and all parts together are the whole."""
        return index.tensor_split(self.world)[self.rank]


class Loader(Protocol):
    """What a training needs of its batches. share: factor on the mean loss of the own part of the present batch.

    empty: whether the rows of that batch, of all shards together, have weights that sum to 0; then share is 0, too.
    count: rows of an epoch. waited: seconds that the training waited for batches. epoch, position: of the next batch.
    """

    share: float
    empty: bool
    waited: float
    epoch: int
    position: int

    @property
    def count(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def first(self, count: int) -> tuple[Tensor, ...]:
        """Some rows to try a network on."""
        ...

    def inputs(self) -> Tensor:
        """Numeric inputs for networks that look at them once: all rows, or a sample of many."""
        ...

    def rows_at(self, epoch: int, position: int) -> np.ndarray:
        """Row numbers in the table of the batch that all shards got at that place."""
        ...

    def state_dict(self) -> dict[str, int]: ...

    def load_state_dict(self, state: dict[str, int]) -> None: ...


class Waits(Protocol):
    """Counts the seconds that it waited for batches."""

    waited: float


def timed(loader: Waits, batches: Iterator[Any]) -> Iterator[Any]:
    """The same batches; the time that each took is added to `loader.waited`."""
    while True:
        began = time.perf_counter()
        batch = next(batches, None)
        loader.waited += time.perf_counter() - began
        if batch is None:
            return
        yield batch


def aligned(array: np.ndarray) -> Tensor:
    """Rows of a larger array as a tensor of its own; a copy where they do not begin as torch's memory does.

    What a kernel adds up first may hang on that, and a resumed epoch would not equal a whole one to the bit. No view of
    a tensor: writing into it in place would count as a change of all others.
    """
    tensor = torch.from_numpy(array)
    return tensor.clone() if tensor.data_ptr() % ALIGNED else tensor


def _moved(tensor: Tensor, device: torch.device, moved: dict[int, Tensor]) -> Tensor:
    """The same view of the same memory there: rows may overlap, and several tensors may share it."""
    place = tensor.untyped_storage().data_ptr()
    if place not in moved:
        moved[place] = torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage()).to(device)  # type: ignore[no-untyped-call]
    return torch.as_strided(moved[place], tensor.shape, tensor.stride(), tensor.storage_offset())


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
        self.share, self.empty, self.waited = 1.0, False, 0.0
        self.epoch = self.position = 0
        self.device: torch.device | None = None  # that holds the rows, other than this host
        self._served = False

    @property
    def count(self) -> int:
        """Rows of an epoch."""
        return len(self.rows)

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
        return timed(self, self._batches(self.epoch))

    def order(self, epoch: int) -> Tensor:
        """The row numbers in the order of an epoch, (n,) int64."""
        if not self.shuffle:
            return self.rows
        return torch.from_numpy(np.random.default_rng([self.seed, epoch]).permutation(self.rows.numpy()))

    def _batches(self, epoch: int) -> Iterator[Any]:
        order = self.order(epoch)
        for start, end, batch in self._cut(order) if self.device is None else self._cut_there(order, self.device):
            self._weigh(order[start:end])
            self.position, self._served = self.position + 1, True
            yield self.collate(batch)

    def _cut(self, order: Tensor) -> Iterator[tuple[int, int, tuple[Tensor, ...]]]:
        """The batches that are left of an epoch, each behind its span."""
        batches, some = len(self), self._together()
        for first in range(self.position, batches, some):
            cuts = [self._span(position) for position in range(first, min(batches, first + some))]
            begin = cuts[0][0]
            index = self._own(order[begin : cuts[-1][1]])
            taken = [tensor.index_select(0, index).numpy() for tensor in self.tensors]
            for start, end in cuts:
                own = slice(start - begin, end - begin) if some > 1 else slice(None)
                yield start, end, tuple([aligned(array[own]) for array in taken])

    def _cut_there(self, order: Tensor, device: torch.device) -> Iterator[tuple[int, int, tuple[Tensor, ...]]]:
        """The same by a device that holds the rows; memory of its own for each keeps it aligned there."""
        there = order.to(device)
        for position in range(self.position, len(self)):
            start, end = self._span(position)
            index = self._own(there[start:end])
            yield start, end, tuple([tensor.index_select(0, index) for tensor in self.tensors])

    @property
    def size(self) -> int:
        """Bytes that the rows take where they are held; with their order."""
        held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in self.tensors}
        return sum(held.values()) + ORDER * len(self.rows)

    def hold_on(self, device: torch.device, moved: dict[int, Tensor]) -> None:
        """Cut batches on a device from now on. moved: what is there already, by where it was; it is added to."""
        self.tensors, self.device = tuple([_moved(tensor, device, moved) for tensor in self.tensors]), device

    def _together(self) -> int:
        """Batches that are gathered at once: to do so one by one costs more than copying small rows."""
        size = self.batch_size * sum(tensor[:1].nbytes for tensor in self.tensors)
        return max(1, min(TOGETHER_MOST, TOGETHER_BYTES // max(1, size))) if self.shard.world == 1 else 1

    def _span(self, position: int) -> tuple[int, int]:
        """Where a batch begins and ends in the order of its epoch."""
        if self.even:
            return len(self.rows) * position // len(self), len(self.rows) * (position + 1) // len(self)
        return position * self.batch_size, (position + 1) * self.batch_size

    def first(self, count: int) -> tuple[Tensor, ...]:
        """Some rows to try a network on."""
        return tuple(tensor.index_select(0, self.rows[:count]) for tensor in self.tensors)

    def inputs(self) -> Tensor:
        """The first tensor of all rows."""
        return self.tensors[0].index_select(0, self.rows)

    def rows_at(self, epoch: int, position: int) -> np.ndarray:
        """Row numbers of the batch that all shards got at that place."""
        start, end = self._span(position)
        return np.asarray(self.order(epoch)[start:end].numpy())

    def _own(self, index: Tensor) -> Tensor:
        """This shard's rows of a batch; if it has none, one that counts nothing: every shard must take the step."""
        own = self.shard.cut(index)
        return own if len(own) else index[:1]

    def _weigh(self, index: Tensor) -> None:
        """`share` becomes the factor on the mean loss of this shard's rows of a batch.

        With it the mean over shards is the mean over the batch, also where parts differ in rows or weights.
        """
        if self.shard.world == 1 and self.weight is None:
            return
        own = self.shard.cut(index)
        mine, whole = (float(len(i) if self.weight is None else self.weight[i].sum()) for i in (own, index))
        self.empty = not whole
        self.share = self.shard.world * mine / whole if whole else 0.0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.epoch, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue there: the next `iter()` gives the rest of that epoch."""
        self.epoch, self.position, self._served = state["epoch"], state["position"], False
