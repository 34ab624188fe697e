"""Sketch bytes: stock readers accept them, ranks and counts keep their bounds, equal input gives equal bytes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import whylogs_sketching as ds

from mldlc.profile import heavy, ranks
from mldlc.profile.observe import Settings
from mldlc.profile.profile import profile_frame
from mldlc.profile.sketch_bytes import items_sketch, kll_sketch
from mldlc.profile.view import column_view

K = 1024
BOUND = ds.kll_doubles_sketch(K).normalized_rank_error(False)


def rank_error(sketch: ds.kll_doubles_sketch, values: np.ndarray, counts: np.ndarray) -> float:
    """Largest distance between a sketch quantile's true rank interval and the asked share."""
    ends, n = np.cumsum(counts), counts.sum()
    shares = np.linspace(0.005, 0.995, 100)
    place = np.searchsorted(values, sketch.get_quantiles(list(shares)))
    low, high = (ends[place] - counts[place]) / n, ends[place] / n
    return float(np.maximum(0, np.maximum(low - shares, shares - high)).max())


def random_shape(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    distinct = int(rng.integers(1, 3001))
    values = np.unique(rng.normal(size=distinct))
    weights = rng.pareto(rng.uniform(0.3, 3), len(values)) + 1e-3
    n = int(10 ** rng.uniform(0, 6.5))
    counts = np.maximum(1, (weights / weights.sum() * n)).astype(np.int64)
    return values, counts


def test_kll_of_200_random_shapes_keeps_the_bound() -> None:
    rng, worst = np.random.default_rng(7), 0.0
    for _ in range(200):
        values, counts = random_shape(rng)
        sketch = kll_sketch(values, counts, K)
        assert sketch.get_n() == counts.sum()
        assert (sketch.get_min_value(), sketch.get_max_value()) == (values[0], values[-1])
        assert sketch.serialize() == kll_sketch(values, counts, K).serialize()
        worst = max(worst, rank_error(sketch, values, counts))
    assert 0 < worst <= BOUND


@pytest.mark.parametrize("n", [1, 2, 3, 1023, 1024, 1025, 3000, 100_000, 1_000_001])
def test_kll_of_distinct_values_merges_with_a_stock_sketch(n: int) -> None:
    rng = np.random.default_rng(n)
    ours, others = np.sort(rng.normal(size=n)), rng.normal(size=5000) + 1
    sketch = kll_sketch(ours, np.ones(n, np.int64), K)
    assert rank_error(sketch, ours, np.ones(n, np.int64)) <= BOUND
    stock = ds.kll_doubles_sketch(K)
    stock.update(others)
    stock.merge(sketch)
    both = np.sort(np.concatenate([ours, others]))
    again = ds.kll_doubles_sketch.deserialize(stock.serialize())
    assert again.get_n() == n + 5000
    assert rank_error(again, both, np.ones(len(both), np.int64)) <= 2 * BOUND  # one draw of a randomised merge


@pytest.mark.parametrize("shape", ["normal", "skewed", "rounded", "spike", "constant-and-one", "two-scales"])
def test_fine_bins_agree_with_a_sort(shape: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=400_000)
    values = {
        "normal": x, "skewed": np.exp(6 * x), "rounded": x.round(2),
        "spike": np.where(rng.random(x.size) < 0.6, 0.0, x), "two-scales": np.where(x > 0, x * 1e9, x * 1e-9),
        "constant-and-one": np.where(np.arange(x.size) == 5, 1e300, 1.0),
    }[shape] + 0.0  # fmt: skip
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high, 41)
    summary, hist = ranks.of_floats(values, low, high, edges)
    assert hist.tolist() == np.histogram(values, edges)[0].tolist()
    assert summary.n == len(values)
    assert (summary.values[0], summary.values[-1]) == (low, high)
    ordered, counts = np.unique(values, return_counts=True)
    if summary.exact:
        assert np.array_equal(summary.values, ordered)
        assert np.array_equal(summary.weights, counts)
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        found = summary.quantile(q)
        below, upto = (values < found).mean(), (values <= found).mean()
        assert below - 1 / 1024 <= q <= upto + 1 / 1024
    assert rank_error(kll_sketch(summary.values, summary.weights, K), ordered, counts) <= BOUND


def truth(values: pl.Series) -> dict[object, int]:
    return dict(values.value_counts().iter_rows())


@pytest.mark.parametrize("shape", ["few", "zipf", "unique", "equal-buckets"])
def test_frequent_items_keep_their_bounds_also_merged(shape: str) -> None:
    rng = np.random.default_rng(1)
    n = 600_000  # each part is above heavy.COUNT_ALL
    values = {
        "few": rng.integers(0, 50, n), "zipf": rng.zipf(1.2, n).clip(0, 2**60), "unique": rng.permutation(n) * 2**33,
        "equal-buckets": np.arange(n),
    }[shape]  # fmt: skip
    first, second = pl.Series("value", values[: n // 3]), pl.Series("value", values[n // 3 :])
    for items, seen in (
        (heavy.of_series(first), first),
        (heavy.merge(heavy.of_series(first), heavy.of_series(second)), pl.concat([first, second])),
    ):
        counts = truth(seen)
        assert items.complete == (len(counts) == items.frame.height)
        for value, count in items.frame.iter_rows():
            assert count - items.offset <= counts[value] <= count
        left_out = set(counts) - set(items.frame["value"])
        assert max((counts[value] for value in left_out), default=0) <= items.offset


def test_items_sketch_reads_and_merges_as_stock() -> None:
    sketch = items_sketch(["a", "ü" * 60], [90, 20], 200, 10, 10)
    assert (sketch.get_estimate("a"), sketch.get_lower_bound("a"), sketch.get_upper_bound("a")) == (100, 90, 100)
    stock = ds.frequent_strings_sketch(10)
    stock.update_str_list(["a"] * 7)
    stock.merge(sketch)
    assert stock.get_total_weight() == 207
    assert stock.get_estimate("a") == 107
    assert items_sketch([], [], 0, 0, 10).is_empty()


def test_equally_full_buckets_leave_one_light_item() -> None:
    """No bucket is above the border, so no value is a candidate; total and offset still live through a merge."""
    inverse = np.uint64(pow(int(heavy.GOLDEN), -1, 2**64))
    buckets = np.repeat(np.arange(1 << 16, dtype=np.uint64) << np.uint64(48), 4)
    values = ((buckets + np.tile(np.arange(4, dtype=np.uint64), 1 << 16)) * inverse).view(np.int64)
    series = pl.Series("x", values)
    assert heavy.of_series(series).frame.height == 0
    view = column_view(profile_frame(series.to_frame())[0], Settings())
    metric = view.get_metric("frequent_items")
    sketch = (metric + metric).frequent_strings.value
    assert sketch.get_total_weight() == 2 * len(values)
    first = str(values[0])
    assert sketch.get_lower_bound(first) <= 2 <= sketch.get_upper_bound(first)
    assert metric.strings == []
