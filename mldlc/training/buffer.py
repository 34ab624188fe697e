"""Brings rows of blocks into the order of a streamed epoch, window by window, ahead of the loader that cuts batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from torch import Tensor

from mldlc.artifacts.blocks import Blocks
from mldlc.training.loader import ALIGNED, aligned
from mldlc.training.order import Order, Piece

Columns = Mapping[str, np.ndarray]
Cut = Callable[[int, int], tuple[Tensor, ...]]  # rows [start, stop) of a window
ITEMS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@dataclass(frozen=True)
class Chosen:
    """The rows of one part of the split, among the rows of a table. codes: (rows,) uint8 part of each; code: wanted."""

    starts: np.ndarray
    codes: np.ndarray
    code: int

    @cached_property
    def counts(self) -> np.ndarray:
        """Chosen rows of each block, (blocks,) int64."""
        ends = zip(self.starts[:-1], self.starts[1:], strict=True)
        return np.array([np.count_nonzero(self.codes[a:b] == self.code) for a, b in ends], np.int64)

    def within(self, block: int) -> np.ndarray:
        """Offsets of the chosen rows of a block, ascending int64."""
        return np.flatnonzero(self.codes[self.starts[block] : self.starts[block + 1]] == self.code)

    def picked(self, piece: Piece) -> np.ndarray | slice:
        """Offsets in its block of the rows of a piece: a slice where they lie side by side."""
        if self.counts[piece.block] == self.starts[piece.block + 1] - self.starts[piece.block]:
            return slice(piece.first, piece.last)
        rows = self.within(piece.block)[piece.first : piece.last]
        first, last = int(rows[0]), int(rows[-1])
        return slice(first, last + 1) if last - first + 1 == len(rows) else rows

    def numbers(self, order: Order, epoch: int, window: int, lanes: range) -> np.ndarray:
        """Row numbers in the table of the rows of a window, batch after batch."""
        found = np.empty(int(order.edges(window, lanes)[-1]), np.int64)
        for lane in lanes:
            pieces = order.pieces(epoch, lane, window)
            rows = [self.starts[p.block] + self.within(p.block)[p.first : p.last] for p in pieces]
            if rows:
                places = order.places(epoch, lane, window, lanes)
                found[slice(None) if places is None else places] = np.concatenate(rows)
        return found


@dataclass(frozen=True)
class Field:
    """A column of a batch. take: of a block's columns, the values of rows."""

    shape: tuple[int, ...]
    dtype: np.dtype
    take: Callable[[Columns, np.ndarray | slice], np.ndarray]


class Buffer:
    """Windows whose rows are read from blocks and put at their places by `workers` threads, or when asked.

    A window has memory of its own, and batches are views of it: whoever keeps a batch keeps what is in it.
    """

    def __init__(
        self, blocks: Blocks, chosen: Chosen, order: Order, lanes: range, fields: Sequence[Field], workers: int
    ) -> None:
        self.blocks, self.chosen, self.order, self.lanes, self.fields = blocks, chosen, order, lanes, tuple(fields)
        self._pool = ThreadPoolExecutor(workers, "ingest") if workers else None
        self._begun: dict[tuple[int, int], tuple[list[np.ndarray], dict[int, Future[None]]]] = {}
        self._open: dict[int, tuple[int, Columns]] = {}

    def begin(self, epoch: int, window: int) -> None:
        """Have a window brought in: it will be asked for next."""
        if self._pool is None or (epoch, window) in self._begun:
            return
        arrays = self._arrays(window)
        jobs = {lane: self._pool.submit(self._fill, arrays, epoch, window, lane) for lane in self.lanes}
        self._begun[epoch, window] = arrays, jobs

    def window(self, epoch: int, window: int) -> Cut:
        """The rows of a window, once they are there. One without rows gives a row of zeros that counts nothing.

        What no thread has begun is read here: who must wait lends a hand.
        """
        self.begin(epoch, window)
        arrays, jobs = self._begun.pop((epoch, window), (None, {}))
        self._forget()
        arrays = self._arrays(window) if arrays is None else arrays
        for lane in reversed(self.lanes):  # threads begin with the first ones
            if lane not in jobs or jobs[lane].cancel():
                self._fill(arrays, epoch, window, lane)
                jobs.pop(lane, None)
        for job in jobs.values():
            job.result()
        return partial(_cut, arrays)

    def _forget(self) -> None:
        """Give up what was begun and is not wanted after all."""
        for _, jobs in self._begun.values():
            for job in jobs.values():
                job.cancel()
        self._begun.clear()

    def _arrays(self, window: int) -> list[np.ndarray]:
        rows = int(self.order.edges(window, self.lanes)[-1])
        if not rows:
            return [np.zeros((1, *field.shape), field.dtype) for field in self.fields]
        return [_empty(rows, field) for field in self.fields]

    def _fill(self, arrays: list[np.ndarray], epoch: int, window: int, lane: int) -> None:
        """Put the rows of a lane at their places."""
        places, at = self.order.places(epoch, lane, window, self.lanes), 0
        for piece in self.order.pieces(epoch, lane, window):
            columns, rows = self._read(lane, piece), self.chosen.picked(piece)
            end = at + piece.last - piece.first
            here = slice(at, end) if places is None else places[at:end]
            for field, array in zip(self.fields, arrays, strict=True):
                put(array, here, field.take(columns, rows))
            at = end

    def _read(self, lane: int, piece: Piece) -> Columns:
        """The columns of a block; one that is decoded is kept until its rows are used up, by the lane's next window."""
        block, columns = self._open.pop(lane, (-1, {}))
        if block != piece.block:
            columns = self.blocks.read(piece.block)
        if self.blocks.decodes(piece.block) and piece.last < self.order.counts[piece.block]:
            self._open[lane] = piece.block, columns
        return columns


def _cut(arrays: list[np.ndarray], start: int, stop: int) -> tuple[Tensor, ...]:
    return tuple([aligned(array[start:stop]) for array in arrays])


def _empty(rows: int, field: Field) -> np.ndarray:
    """Memory for rows of a field that begins as torch's does. NumPy's own is taken for its huge pages."""
    size = math.prod(field.shape, start=rows) * field.dtype.itemsize
    raw = np.empty(size + ALIGNED, np.uint8)
    begin = -raw.__array_interface__["data"][0] % ALIGNED
    return raw[begin : begin + size].view(field.dtype).reshape(rows, *field.shape)


def put(array: np.ndarray, places: np.ndarray | slice, values: np.ndarray) -> None:
    """`array[places] = values`; whole rows are moved as one item each, which NumPy does several times as fast."""
    if values.ndim == 1 or isinstance(places, slice):
        array[places] = values
    elif values.shape[1]:
        size = values.dtype.itemsize * values.shape[1]
        item = np.dtype(ITEMS.get(size, f"V{size}"))
        array.view(item)[:, 0][places] = values.view(item)[:, 0]


def copied(name: str, shape: tuple[int, ...], dtype: np.dtype) -> Field:
    """A column of the table as it is; one that the table has not is no items wide."""

    def take(columns: Columns, rows: np.ndarray | slice) -> np.ndarray:
        if name not in columns:
            return np.empty((len(columns["label"][rows]), *shape), dtype)
        column = columns[name]
        return column[rows] if isinstance(rows, slice) else np.take(column, rows, axis=0, mode="clip")

    return Field(shape, dtype, take)


def encoded(encode: Callable[[np.ndarray], Tensor], like: Tensor) -> Field:
    """The label as an objective encodes it. like: a label encoded."""

    def take(columns: Columns, rows: np.ndarray | slice) -> np.ndarray:
        return np.asarray(encode(np.array(columns["label"][rows])).numpy())

    return Field((), like.numpy().dtype, take)
