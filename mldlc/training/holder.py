"""What holds the rows that a streamed loader cuts batches from: the whole table, or a buffer that is filled in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from mldlc.artifacts.blocks import Blocks
from mldlc.training.order import Window, size

Mix = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Chosen:
    """The rows of one part of the split, among the rows of a table. codes: (rows,) uint8 part of each; code: wanted."""

    starts: np.ndarray
    codes: np.ndarray
    code: int

    def counts(self) -> np.ndarray:
        """Chosen rows of each block, (blocks,) int64."""
        ends = zip(self.starts[:-1], self.starts[1:], strict=True)
        return np.array([np.count_nonzero(self.codes[a:b] == self.code) for a, b in ends], np.int64)

    def within(self, block: int) -> np.ndarray:
        """Offsets of the chosen rows of a block, ascending int64."""
        return np.flatnonzero(self.codes[self.starts[block] : self.starts[block + 1]] == self.code)

    def numbers(self, window: Window) -> np.ndarray:
        """Row numbers in the table of the rows of a window."""
        found = [self.starts[p.block] + self.within(p.block)[p.first : p.last] for p in window]
        return np.concatenate(found) if found else np.empty(0, np.int64)


class Holder(Protocol):
    """Gives the rows of windows as positions in `tensors`. slot: where a window is kept until the next one there."""

    tensors: tuple[Tensor, ...]

    def begin(self, slot: int, window: Window, mix: Mix) -> None:
        """Have the rows of a window brought in; what the slot held is over."""
        ...

    def positions(self, slot: int) -> np.ndarray:
        """Where the rows of the slot's window lie, in their mixed order, once they are there."""
        ...

    def reset(self) -> None:
        """Forget what was begun."""
        ...


class InMemory:
    """The whole table, as tensors; nothing has to be brought in."""

    def __init__(self, tensors: Sequence[Tensor], chosen: Chosen) -> None:
        self.tensors, self.chosen = tuple(tensors), chosen
        self._begun: dict[int, tuple[Window, Mix]] = {}

    def begin(self, slot: int, window: Window, mix: Mix) -> None:
        self._begun[slot] = window, mix

    def positions(self, slot: int) -> np.ndarray:
        window, mix = self._begun.pop(slot)
        numbers = self.chosen.numbers(window)
        return np.asarray(numbers[mix(len(numbers))])

    def reset(self) -> None:
        self._begun.clear()


@dataclass(frozen=True)
class Field:
    """A column of the buffer: how it is made of a block's columns and offsets of rows."""

    shape: tuple[int, ...]
    dtype: np.dtype
    make: Callable[[Mapping[str, np.ndarray], np.ndarray, np.ndarray], None]


class Buffer:
    """A buffer of `slots` windows of at most `capacity` rows, filled by `workers` threads, or when asked."""

    def __init__(
        self, blocks: Blocks, chosen: Chosen, fields: Sequence[Field], slots: int, capacity: int, workers: int
    ) -> None:
        self.blocks, self.chosen, self.fields, self.capacity = blocks, chosen, tuple(fields), capacity
        self.arrays = [np.zeros((slots * capacity, *field.shape), field.dtype) for field in fields]
        self.tensors = tuple(torch.from_numpy(array) for array in self.arrays)
        self._pool = ThreadPoolExecutor(workers, "ingest") if workers else None
        self._begun: dict[int, Callable[[], np.ndarray]] = {}
        self._futures: set[Future[np.ndarray]] = set()

    def begin(self, slot: int, window: Window, mix: Mix) -> None:
        if self._pool is None:
            self._begun[slot] = lambda: self._fill(slot, window, mix)
            return
        future = self._pool.submit(self._fill, slot, window, mix)
        self._begun[slot] = future.result
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)

    def positions(self, slot: int) -> np.ndarray:
        return self._begun.pop(slot)()

    def reset(self) -> None:
        self._begun.clear()
        for future in list(self._futures):
            if not future.cancel():
                future.exception()  # a slot must not be written by two

    def _fill(self, slot: int, window: Window, mix: Mix) -> np.ndarray:
        start = at = slot * self.capacity
        for piece in window:
            rows = self.chosen.within(piece.block)[piece.first : piece.last]
            columns = self.blocks.read(piece.block)
            for field, array in zip(self.fields, self.arrays, strict=True):
                field.make(columns, rows, array[at : at + len(rows)])
            at += len(rows)
        return mix(size(window)) + start


def copied(name: str, shape: tuple[int, ...], dtype: np.dtype) -> Field:
    """A column of the table as it is; zeros wide where the table has none."""

    def make(columns: Mapping[str, np.ndarray], rows: np.ndarray, out: np.ndarray) -> None:
        if name in columns:
            column = columns[name]
            if len(rows) == len(column):
                out[:] = column
            else:
                np.take(column, rows, axis=0, out=out, mode="clip")

    return Field(shape, dtype, make)


def encoded(encode: Callable[[np.ndarray], Tensor], like: Tensor) -> Field:
    """The label as an objective encodes it. like: a label encoded."""

    def make(columns: Mapping[str, np.ndarray], rows: np.ndarray, out: np.ndarray) -> None:
        if len(rows):
            out[:] = encode(columns["label"][rows]).numpy()

    return Field((), like.numpy().dtype, make)
