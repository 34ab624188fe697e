"""The order of a streamed epoch: every row once, the same for any number of ranks, its own for every epoch."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.training.order import Order, find, size

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(sum)


def rows_of(order: Order, epoch: int, lane: int) -> list[tuple[int, int]]:
    """(block, place in it) of a lane's rows, in order."""
    found = []
    for number, window in enumerate(order.windows(epoch, lane)):
        rows = [(piece.block, row) for piece in window for row in range(piece.first, piece.last)]
        assert len(rows) == size(window) <= order.capacity
        found += [rows[i] for i in order.mixed(epoch, lane, number, len(rows))]
    return found


@settings(max_examples=150, deadline=None)
@given(
    counts=COUNTS, batch=st.integers(1, 50), lanes=st.integers(1, 9), window=st.integers(1, 60), epoch=st.integers(0, 3),
    shuffle=st.booleans(), drop=st.booleans(),
)  # fmt: skip
def test_batches_hold_every_row_once(
    counts: list[int], batch: int, lanes: int, window: int, epoch: int, shuffle: bool, drop: bool
) -> None:
    order = Order(np.array(counts), batch, lanes, window, 7, shuffle, drop)
    of_lane = [rows_of(order, epoch, lane) for lane in range(lanes)]
    rows = [row for lane in of_lane for row in lane]
    assert sorted(rows) == [(block, row) for block, count in enumerate(counts) for row in range(count)]
    assert max(map(len, of_lane)) - min(map(len, of_lane)) <= 1
    sizes = []
    for position in range(order.batches):
        parts = [lane[order.cut(position, n) : order.cut(position + 1, n)] for n, lane in enumerate(of_lane)]
        assert max(map(len, parts)) - min(map(len, parts)) <= 1, "ranks get nearly equal shares of every batch"
        sizes.append(sum(map(len, parts)))
        assert sizes[-1] == order.before(position + 1) - order.before(position)
    assert all(size == batch for size in sizes[:-1])
    assert sum(sizes) == (len(rows) // batch * batch if drop else len(rows))


@settings(max_examples=80, deadline=None)
@given(counts=COUNTS, batch=st.integers(1, 50), lanes=st.integers(1, 4))
def test_even_batches_have_rows_for_every_lane(counts: list[int], batch: int, lanes: int) -> None:
    order = Order(np.array(counts), batch, lanes, even=True)
    cuts = [[order.cut(at, lane) for lane in range(lanes)] for at in range(order.batches + 1)]
    assert sum(cuts[-1]) == sum(counts)
    if sum(counts) >= lanes:
        assert all(b > a for before, after in itertools.pairwise(cuts) for a, b in zip(before, after, strict=True))


def test_epochs_differ_and_depend_on_nothing_else() -> None:
    order = Order(np.full(20, 30), 16, 4, 60, 3, True)
    same = Order(np.full(20, 30), 16, 4, 60, 3, True)
    first, second = rows_of(order, 0, 1), rows_of(order, 1, 1)
    assert first != second
    assert rows_of(same, 1, 1) == second and rows_of(same, 0, 1) == first
    other = Order(np.full(20, 30), 16, 4, 60, 4, True)
    assert rows_of(other, 0, 1) != first
    assert len({block for block, _ in first[:20]}) > 1, "rows of several blocks are mixed"


def test_a_row_is_found_in_its_window() -> None:
    windows = Order(np.full(10, 30), 16, 2, 60).windows(0, 0)
    assert [size(window) for window in windows] == [60, 60, 30]
    assert [find(windows, row) for row in (0, 59, 60, 149, 150)] == [(0, 0), (0, 0), (1, 60), (2, 120), (3, 150)]
