"""The order of a streamed epoch: every row once, the same for any number of ranks, its own for every epoch."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.training.order import Order

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(sum)
Row = tuple[int, int]  # (block, place in it)


def batches(order: Order, epoch: int, lanes: range) -> list[list[Row]]:
    """The rows of each batch of an epoch that some lanes read."""
    found: list[list[Row]] = []
    for window in range(order.windows):
        edges = order.edges(window, lanes).tolist()
        rows: list[Row] = [(-1, -1)] * edges[-1]
        for lane in lanes:
            pieces = order.pieces(epoch, lane, window)
            read = [(piece.block, row) for piece in pieces for row in range(piece.first, piece.last)]
            told = order.places(epoch, lane, window, lanes)
            places = range(len(read)) if told is None else told.tolist()
            assert len(read) == len(places)
            for row, place in zip(read, places, strict=True):
                assert rows[place] == (-1, -1), "no two rows at one place"
                rows[place] = row
        found += [rows[a:b] for a, b in itertools.pairwise(edges)]
    return found


@settings(max_examples=150, deadline=None)
@given(
    counts=COUNTS, batch=st.integers(1, 50), lanes=st.integers(1, 9), buffer=st.integers(1, 400),
    epoch=st.integers(0, 3), shuffle=st.booleans(), drop=st.booleans(),
)  # fmt: skip
def test_batches_hold_every_row_once(
    counts: list[int], batch: int, lanes: int, buffer: int, epoch: int, shuffle: bool, drop: bool
) -> None:
    order = Order(np.array(counts), batch, lanes, buffer, 7, shuffle, drop)
    found = batches(order, epoch, range(lanes))
    rows, total = [row for part in found for row in part], sum(counts)
    assert len(set(rows)) == len(rows) == (total // batch * batch if drop else total)
    assert set(rows) <= {(block, row) for block, count in enumerate(counts) for row in range(count)}
    assert len(found) == order.batches
    assert all(len(part) == batch for part in found[:-1])
    assert all(order.edges(w, range(lanes))[-1] <= max(batch, buffer) for w in range(order.windows))


@settings(max_examples=100, deadline=None)
@given(
    counts=COUNTS, batch=st.integers(1, 50), lanes=st.integers(1, 9), buffer=st.integers(1, 400), ranks=st.integers(1, 4),
    even=st.booleans(),
)  # fmt: skip
def test_ranks_take_nearly_equal_runs_of_every_batch(
    counts: list[int], batch: int, lanes: int, buffer: int, ranks: int, even: bool
) -> None:
    order = Order(np.array(counts), batch, lanes, buffer, 7, not even, even=even)
    cuts = [lanes * rank // ranks for rank in range(ranks + 1)]
    shares = [batches(order, 1, range(a, b)) for a, b in itertools.pairwise(cuts) if b > a]
    for at, whole in enumerate(batches(order, 1, range(lanes))):
        assert [row for share in shares for row in share[at]] == whole
    for lane in range(lanes):
        sizes = [len(part) for part in batches(order, 1, range(lane, lane + 1))]
        assert max(sizes[:-1], default=0) - min(sizes[:-1], default=0) <= 1
        assert not (even and sum(counts) >= lanes) or min(sizes) > 0, "even batches have rows for every lane"


def test_epochs_differ_and_depend_on_nothing_else() -> None:
    order, same = (Order(np.full(20, 30), 16, 4, 240, 3, True) for _ in range(2))
    every = range(4)
    first, second = batches(order, 0, every), batches(order, 1, every)
    assert first != second
    assert batches(same, 1, every) == second and batches(same, 0, every) == first
    assert batches(Order(np.full(20, 30), 16, 4, 240, 4, True), 0, every) != first


def test_rows_are_mixed() -> None:
    """A batch has rows of several blocks, not side by side, and no window deals its rows out as another does."""
    order = Order(np.full(64, 100), 40, 4, 800, 5, True)
    found = batches(order, 0, range(4))
    assert min(len({block for block, _ in part}) for part in found) > 4
    near = sum(a[0] == b[0] and abs(a[1] - b[1]) == 1 for part in found for a, b in itertools.pairwise(part))
    assert near < 0.05 * order.rows
    places = [order.places(0, 0, window, range(4)) for window in range(order.windows)]
    dealt = {tuple(some) for some in places if some is not None}
    assert len(dealt) == order.windows
