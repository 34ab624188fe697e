"""The loader hands out every row once an epoch, in an order of its own, and continues in the middle of one."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.training.loader import BatchLoader, Shard


def loader(rows: int, batch: int, **options: bool | int) -> BatchLoader:
    """A loader over the odd rows of a table: column 0 is the row number."""
    table = torch.arange(2 * rows, dtype=torch.float32).reshape(-1, 1)
    return BatchLoader((table, table.int()), torch.arange(1, 2 * rows, 2), batch, **options)  # type: ignore[arg-type]


def served(batches: object) -> list[float]:
    return [value for x, _ in batches for value in x[:, 0].tolist()]  # type: ignore[attr-defined]


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 200), batch=st.integers(1, 70), seed=st.integers(0, 99), epochs=st.integers(1, 3))
def test_every_row_once_an_epoch(rows: int, batch: int, seed: int, epochs: int) -> None:
    feed = loader(rows, batch, shuffle=True, seed=seed)
    orders = []
    for _ in range(epochs):
        batches = list(feed)
        assert len(batches) == len(feed) == -(-rows // batch)
        orders.append(served(batches))
        assert sorted(orders[-1]) == list(range(1, 2 * rows, 2))
        assert all(torch.equal(x.int(), codes) for x, codes in batches)
        assert all(part.data_ptr() % 64 == 0 for pair in batches for part in pair), "as torch's own memory"
    if rows > 20:
        assert len({tuple(order) for order in orders}) == epochs


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 200), batch=st.integers(1, 70), seed=st.integers(0, 99), epoch=st.integers(0, 2),
    share=st.floats(0, 1),
)  # fmt: skip
def test_resumes_in_the_middle_of_an_epoch(rows: int, batch: int, seed: int, epoch: int, share: float) -> None:
    whole = loader(rows, batch, shuffle=True, seed=seed)
    for _ in range(epoch):
        list(whole)
    batches = iter(whole)
    before = [next(batches) for _ in range(int(share * (len(whole) - 1)))]
    state = whole.state_dict()
    after = served(batches)
    again = loader(rows, batch, shuffle=True, seed=seed)
    again.load_state_dict(state)
    if before:
        iter(again)  # Lightning looks whether iter() works; that must not lose the place
    assert served(again) == after
    assert served(again) == served(whole), "the next epochs agree as well"


def test_an_epoch_that_was_left_early_is_over() -> None:
    feed = loader(40, 4, shuffle=True, seed=3)
    first = served([next(iter(feed))])
    other = loader(40, 4, shuffle=True, seed=3)
    assert served([next(iter(other))]) == first
    assert served(feed) != served(loader(40, 4, shuffle=True, seed=3))
    assert feed.epoch == 1


def test_drop_last_and_order() -> None:
    feed = loader(10, 4, drop_last=True)
    assert served(feed) == [float(v) for v in range(1, 17, 2)]
    assert len(feed) == 2


def test_uneven_tail_rows_differ_between_epochs() -> None:
    feed = loader(10, 4, drop_last=True, shuffle=True)
    dropped = [set(range(1, 20, 2)) - set(map(int, served(feed))) for _ in range(8)]
    assert len({frozenset(rows) for rows in dropped}) > 1
    assert np.isin(list(set().union(*dropped)), np.arange(1, 20, 2)).all()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(3, 200), batch=st.integers(1, 70), seed=st.integers(0, 99), skipped=st.integers(0, 5),
    shard=st.sampled_from([Shard(), Shard(0, 2), Shard(2, 3)]), even=st.booleans(), weighs=st.booleans(),
)  # fmt: skip
def test_a_device_cuts_the_same_batches(
    rows: int, batch: int, seed: int, skipped: int, shard: Shard, even: bool, weighs: bool
) -> None:
    """Of windows that overlap, and of a column that shares their memory; also from the middle of an epoch on."""
    tokens = torch.arange(rows + 3, dtype=torch.float32)
    tensors = (tokens.unfold(0, 4, 1), tokens[2 : rows + 2], torch.arange(rows))
    weight = torch.arange(rows) % 3.0 if weighs else None

    def made() -> BatchLoader:
        options = {"shuffle": True, "seed": seed, "shard": shard, "even": even, "weight": weight}
        return BatchLoader(tensors, torch.arange(rows), batch, **options)  # type: ignore[arg-type]

    here, there, moved = made(), made(), dict[int, torch.Tensor]()
    size = there.size
    there.hold_on(torch.device("cpu"), moved)
    assert size == there.size == 4 * len(tokens) + 8 * rows + 8 * rows and len(moved) == 2, "no row is there twice"
    for feed in (here, there):
        feed.load_state_dict({"epoch": 1, "position": min(skipped, len(feed) - 1)})
    told: list[list[object]] = [[], []]
    for feed, lines in ((here, told[0]), (there, told[1])):
        for _ in range(2):
            for parts in feed:
                lines.append([*(part.tolist() for part in parts), feed.share, feed.position, feed.epoch])
    assert told[0] == told[1] and told[0]
