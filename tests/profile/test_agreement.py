"""Our views against stock whylogs on the same values: exact parts equal, sketches within their a-priori bounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from whylogs.core.view.dataset_profile_view import DatasetProfileView

from mldlc.profile.observe import Settings
from mldlc.profile.profile import extents_of, merged, profile_frame
from mldlc.profile.view import dataset_view, serialise
from tests.profile.frames import adult, stock_view

SETTINGS = Settings()
RANK_BOUND = 0.00272  # of a KLL sketch of k = 1024


def our_view(frame: pl.DataFrame) -> DatasetProfileView:
    return dataset_view(profile_frame(frame), SETTINGS, {})


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = 12_000
    return pl.DataFrame(
        {
            "low": rng.integers(0, 30, n), "id": rng.permutation(n) * 7, "zipf": rng.zipf(1.4, n).clip(0, 10**9),
            "normal": rng.normal(size=n), "skewed": np.exp(3 * rng.normal(size=n)), "flag": rng.random(n) < 0.2,
            "text": [f"t{i}" for i in rng.zipf(1.5, n).clip(0, 10**6)],
            "user": [f"u{i}" for i in rng.integers(0, n, n)],
        }
    ).with_columns(pl.when(pl.int_range(n) % 11 != 5).then(pl.col("low", "normal", "text", "flag")))  # fmt: skip


@pytest.fixture(scope="module")
def views(frame: pl.DataFrame) -> tuple[DatasetProfileView, DatasetProfileView]:
    return our_view(frame), stock_view(frame.to_dict(as_series=False))


@pytest.mark.parametrize("name", ["low", "id", "zipf", "normal", "skewed", "flag", "text", "user"])
def test_exact_parts_agree(views: tuple[DatasetProfileView, DatasetProfileView], name: str) -> None:
    ours, stock = (view.get_column(name).to_summary_dict() for view in views)
    exact = [key for key in stock if key.split("/")[0] in ("counts", "types", "ints")]
    assert {key: ours[key] for key in exact} == {key: stock[key] for key in exact}
    for key in ("distribution/mean", "distribution/stddev"):
        if key in stock:
            assert ours[key] == pytest.approx(stock[key], rel=1e-9, abs=1e-12)
    if stock.get("distribution/n"):
        for key in ("distribution/n", "distribution/min", "distribution/max"):
            assert ours[key] == stock[key]


@pytest.mark.parametrize("name", ["low", "id", "zipf", "normal", "skewed", "text", "user"])
def test_distinct_estimates_are_within_three_deviations(
    views: tuple[DatasetProfileView, DatasetProfileView], frame: pl.DataFrame, name: str
) -> None:
    true = frame[name].drop_nulls().n_unique()
    for view in views:
        sketch = view.get_column(name).get_metric("cardinality").hll.value
        assert sketch.get_lower_bound(3) <= true <= sketch.get_upper_bound(3)
    ours, stock = (view.get_column(name).get_metric("cardinality").estimate for view in views)
    assert ours == pytest.approx(stock, rel=0.05)


@pytest.mark.parametrize("name", ["low", "id", "zipf", "normal", "skewed"])
def test_quantiles_are_within_the_rank_bound(
    views: tuple[DatasetProfileView, DatasetProfileView], frame: pl.DataFrame, name: str
) -> None:
    values = frame[name].drop_nulls().to_numpy()
    for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99):
        found = views[0].get_column(name).get_metric("distribution").get_quantile(q)
        assert (values < found).mean() - RANK_BOUND <= q <= (values <= found).mean() + RANK_BOUND


@pytest.mark.parametrize("name", ["low", "zipf", "flag", "text", "user"])
def test_frequent_items_bound_the_truth(
    views: tuple[DatasetProfileView, DatasetProfileView], frame: pl.DataFrame, name: str
) -> None:
    counts = {str(value): count for value, count in frame[name].drop_nulls().value_counts().iter_rows()}
    for view in views:
        items = view.get_column(name).get_metric("frequent_items").strings
        assert all(item.lower <= counts[item.value] <= item.upper for item in items)
    assert all(
        item.est == counts[item.value] for item in views[0].get_column(name).get_metric("frequent_items").strings
    )


def test_stock_reads_our_file_and_merges_it_with_its_own(
    views: tuple[DatasetProfileView, DatasetProfileView], tmp_path: Path
) -> None:
    path = tmp_path / "profile.bin"
    path.write_bytes(serialise(views[0]))
    both = DatasetProfileView.read(str(path)).merge(views[1])
    again = DatasetProfileView.deserialize(both.serialize())
    for name, column in again.get_columns().items():
        ours, summary = views[0].get_column(name).to_summary_dict(), column.to_summary_dict()
        assert summary["counts/n"] == 2 * ours["counts/n"]
        assert summary["types/integral"] == 2 * ours["types/integral"]
        if ours.get("distribution/n"):
            assert summary["distribution/mean"] == pytest.approx(ours["distribution/mean"], rel=1e-9)
            assert summary["distribution/n"] == 2 * ours["distribution/n"]
        if "cardinality/est" in ours:
            assert summary["cardinality/est"] == pytest.approx(ours["cardinality/est"], rel=0.06)


def test_our_bytes_say_what_whylogs_own_writer_says(views: tuple[DatasetProfileView, DatasetProfileView]) -> None:
    ours = DatasetProfileView.deserialize(serialise(views[0]))
    stock = DatasetProfileView.deserialize(views[0].serialize())
    assert ours.get_columns().keys() == stock.get_columns().keys()
    for name in ours.get_columns():
        left, right = (view.get_column(name).to_protobuf() for view in (ours, stock))
        assert left == right


@pytest.mark.parametrize("cut", [1, 5000, 11_999])
def test_a_profile_of_two_halves_is_the_merge_of_their_profiles(frame: pl.DataFrame, cut: int) -> None:
    extents = extents_of([frame])
    whole = profile_frame(frame, extents)
    joined = merged([profile_frame(frame[:cut], extents), profile_frame(frame[cut:], extents)], SETTINGS)
    for one, two in zip(whole, joined, strict=True):
        for field in ("n", "null", "nan", "true", "low", "high"):
            assert getattr(one, field) == getattr(two, field), (one.name, field)
        assert one.moments.n == two.moments.n
        assert two.moments.mean == pytest.approx(one.moments.mean, rel=1e-12, abs=1e-15)
        assert two.moments.m2 == pytest.approx(one.moments.m2, rel=1e-9)
        if one.hist is not None:
            assert one.hist.tolist() == two.hist.tolist()
        if one.ranks is not None and one.ranks.exact:
            assert np.array_equal(one.ranks.values, two.ranks.values)
            assert np.array_equal(one.ranks.weights, two.ranks.weights)
        if one.items is not None and one.items.complete:
            assert one.items.frame.equals(two.items.frame)


def test_adult_agrees_with_stock() -> None:
    frame = adult().head(4000)
    ours, stock = our_view(frame), stock_view(frame.to_dict(as_series=False))
    for name in frame.columns:
        left, right = (view.get_column(name).to_summary_dict() for view in (ours, stock))
        for key in right:
            if key.split("/")[0] in ("counts", "types", "ints"):
                assert left[key] == right[key], (name, key)
