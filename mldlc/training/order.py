"""The order of the rows of a streamed epoch: a pure function of the settings, the seed and the epoch.

Blocks are permuted and laid end to end; `lanes` equal spans of that are read side by side. An epoch is cut into windows
of some batches; each lane permutes its rows of a window and deals them out to those batches, an equal share to each.
Ranks read different lanes, so what a batch holds does not depend on how many there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Piece:
    """Rows [first, last) among the chosen rows of a block."""

    block: int
    first: int
    last: int


@dataclass(frozen=True)
class Order:
    """counts: (blocks,) chosen rows of each block. buffer_rows: of a window, of all lanes, but a batch at least.

    even: batches of nearly equal size, none smaller than the lanes are many, where there are so many rows; these are
    not shuffled.
    """

    counts: np.ndarray
    batch_size: int
    lanes: int = 1
    buffer_rows: int = 1
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

    @property
    def span(self) -> int:
        """Batches of a window."""
        return max(1, self.buffer_rows // self.batch_size)

    @property
    def windows(self) -> int:
        """Windows of an epoch."""
        return -(-self.batches // self.span)

    def bounds(self, window: int) -> tuple[int, int]:
        """(first batch of a window, first one behind it)."""
        return window * self.span, min(self.batches, (window + 1) * self.span)

    def edges(self, window: int, lanes: range) -> np.ndarray:
        """Rows of some lanes before each batch of a window, from its beginning on, and before its end."""
        first, end = self.bounds(window)
        cuts = self._cuts(self.before(np.arange(first, end + 1)), lanes)
        return np.asarray((cuts - cuts[0]).sum(1))

    def pieces(self, epoch: int, lane: int, window: int) -> list[Piece]:
        """What a lane reads for a window, in order."""
        blocks, ends = self._laid(epoch)
        each, rest = divmod(self.rows, self.lanes)
        before = lane * each + max(0, lane - (self.lanes - rest))
        start, stop = (before + self._cut(position, lane) for position in self.bounds(window))
        pieces, number = [], int(np.searchsorted(ends, start, "right"))
        while start < stop:
            begins = int(ends[number - 1]) if number else 0
            last = min(stop, int(ends[number]))
            pieces.append(Piece(int(blocks[number]), start - begins, last - begins))
            start, number = last, number + 1
        return pieces

    def places(self, epoch: int, lane: int, window: int, lanes: range) -> np.ndarray | None:
        """Where the rows of `pieces` go in the window of some `lanes`, batch after batch, lane after lane: (n,) int64.

        None: one after another, as a lane alone that is not shuffled has them.

        A lane draws one permutation an epoch, and each of its windows turns it by a draw of its own: to draw one for
        every window would take as long as to read the rows.
        """
        first, end = self.bounds(window)
        if not self.shuffle and len(lanes) == 1:
            return None
        if not self.shuffle:
            return self._dealt(self.before(np.arange(first, end + 1)), lane, lanes)
        begin, stop = int(self.before(first)), int(self.before(end))
        twice = self._mixed(epoch, lane, lanes, begin % self.lanes, stop - begin)
        rows = len(twice) // 2
        turn = int(self._turns(epoch, lane)[window]) % max(1, rows)
        return twice[turn : turn + rows]

    def before(self, positions: Any) -> Any:
        """Rows of the batches before those at `positions`."""
        if self.even:
            return self.rows * positions // self.batches
        return np.minimum(self.rows, positions * self.batch_size)

    def _cut(self, position: int, lane: int) -> int:
        """Rows of a lane before the batch at `position`; summed over the lanes they are the rows before it."""
        return int(self.before(position) + lane) // self.lanes

    def _cuts(self, befores: np.ndarray, lanes: range) -> np.ndarray:
        """The same for places with so many rows before them, and for some lanes: (places, lanes)."""
        return (befores[:, None] + np.arange(lanes.start, lanes.stop)) // self.lanes

    def _dealt(self, befores: np.ndarray, lane: int, lanes: range) -> np.ndarray:
        """Where the rows of a lane go in a window, not permuted. befores: rows before its batches and its end."""
        cuts, own = self._cuts(befores, lanes), lane - lanes.start
        shares = np.diff(cuts, axis=0)
        starts = (np.cumsum(shares) - shares.ravel()).reshape(shares.shape)[:, own]
        within = cuts[:, own] - cuts[0, own]
        return np.asarray(np.repeat(starts - within[:-1], shares[:, own]) + np.arange(within[-1]))

    @cached_property
    def _laid(self) -> Callable[[int], tuple[np.ndarray, np.ndarray]]:
        """epoch -> the blocks with rows in their order, and the rows up to the end of each."""

        @lru_cache(2)
        def laid(epoch: int) -> tuple[np.ndarray, np.ndarray]:
            blocks = np.flatnonzero(self.counts)
            if self.shuffle:
                blocks = np.random.default_rng([self.seed, epoch]).permutation(blocks)
            return blocks, np.cumsum(self.counts[blocks])

        return laid

    @cached_property
    def _turns(self) -> Callable[[int, int], np.ndarray]:
        """(epoch, lane) -> a draw for each window."""

        @lru_cache(2 * self.lanes)
        def turns(epoch: int, lane: int) -> np.ndarray:
            return np.random.default_rng([self.seed, epoch, lane, 1]).integers(1 << 62, size=self.windows)

        return turns

    @cached_property
    def _mixed(self) -> Callable[[int, int, range, int, int], np.ndarray]:
        """The same, permuted, twice in a row: most windows of an epoch differ in where they begin with it only."""

        @lru_cache(2 * self.lanes)
        def permutation(epoch: int, lane: int, rows: int) -> np.ndarray:
            return np.random.default_rng([self.seed, epoch, lane]).permutation(rows)

        @lru_cache(2 * self.lanes)
        def mixed(epoch: int, lane: int, lanes: range, before: int, rows: int) -> np.ndarray:
            # what lanes are dealt hangs on the rows before the window by their remainder alone
            befores = before + np.minimum(np.arange(-(-rows // self.batch_size) + 1) * self.batch_size, rows)
            dealt = self._dealt(befores, lane, lanes)
            return np.tile(dealt[permutation(epoch, lane, len(dealt))], 2)

        return mixed
