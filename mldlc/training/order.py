"""The order of the rows of a streamed epoch: a pure function of the settings, the seed and the epoch.

Blocks are permuted and laid end to end; `lanes` equal spans of that are read side by side, each in windows whose rows
are permuted; a batch takes an equal share of every lane. Ranks read different lanes, so what a batch holds does not
depend on how many there are.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Piece:
    """Rows [first, last) among the chosen rows of a block."""

    block: int
    first: int
    last: int


Window = tuple[Piece, ...]


@dataclass(frozen=True)
class Order:
    """counts: (blocks,) chosen rows of each block. window_rows: of a lane, at least.

    even: batches of nearly equal size, none smaller than the lanes are many, where there are so many rows.
    """

    counts: np.ndarray
    batch_size: int
    lanes: int = 1
    window_rows: int = 1
    seed: int = 0
    shuffle: bool = False
    drop_last: bool = False
    even: bool = False

    @cached_property
    def rows(self) -> int:
        """Chosen rows of an epoch."""
        return int(self.counts.sum())

    @cached_property
    def batches(self) -> int:
        """Batches of an epoch."""
        full, rest = divmod(self.rows, self.batch_size)
        batches = full + (1 if rest and not self.drop_last else 0)
        return min(batches, max(1, self.rows // self.lanes)) if self.even else batches

    @cached_property
    def target(self) -> int:
        """Rows at which a window is full; no batch takes more from a lane, so it meets two windows at most."""
        largest = -(-self.rows // max(1, self.batches)) if self.even else self.batch_size
        return max(self.window_rows, largest // self.lanes + 2)

    @cached_property
    def capacity(self) -> int:
        """Rows that a window has at most."""
        return int(min(self.rows, self.target - 1 + self.counts.max(initial=1)))

    def before(self, position: int) -> int:
        """Rows of the batches before that at `position`."""
        return self.rows * position // self.batches if self.even else min(self.rows, position * self.batch_size)

    def cut(self, position: int, lane: int) -> int:
        """Rows of a lane before the batch at `position`; summed over the lanes they are the rows before it."""
        return (self.before(position) + lane) // self.lanes

    def windows(self, epoch: int, lane: int) -> list[Window]:
        """What a lane reads, in order."""
        blocks = np.flatnonzero(self.counts)
        if self.shuffle:
            blocks = np.random.default_rng([self.seed, epoch]).permutation(blocks)
        ends = np.cumsum(self.counts[blocks])
        spans = (self.rows + np.arange(self.lanes)) // self.lanes
        start = int(spans[:lane].sum())
        stop = start + int(spans[lane])
        windows, pieces, held = [], [], 0
        number = int(np.searchsorted(ends, start, "right"))
        while start < stop:
            before = int(ends[number - 1]) if number else 0
            last = min(stop, int(ends[number]))
            pieces.append(Piece(int(blocks[number]), start - before, last - before))
            held += last - start
            start, number = last, number + 1
            if held >= self.target:
                windows.append(tuple(pieces))
                pieces, held = [], 0
        return [*windows, tuple(pieces)] if pieces else windows

    def mixed(self, epoch: int, lane: int, number: int, rows: int) -> np.ndarray:
        """The order of the `rows` of a window, (rows,) int64."""
        if not self.shuffle:
            return np.arange(rows)
        return np.random.default_rng([self.seed, epoch, lane, number]).permutation(rows)


def size(window: Window) -> int:
    """Rows of a window."""
    return sum(piece.last - piece.first for piece in window)


def find(windows: list[Window], row: int) -> tuple[int, int]:
    """(window, rows before it) of a lane's row; the number of windows behind the last one."""
    ends = np.cumsum([size(window) for window in windows]).tolist()
    number = bisect_right(ends, row)
    return number, ends[number - 1] if number else 0
