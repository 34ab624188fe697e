"""Cuts of columns into slices: every row in exactly one, names that say what is inside, dates, nulls, crosses."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.evaluation.cuts import NULL, OTHER, crossed, cut

numbers = st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(0, 3).map(float), st.just(float("nan")))


@given(st.lists(numbers, min_size=1, max_size=200), st.integers(2, 8))
@settings(max_examples=200, deadline=None)
def test_every_number_lies_in_its_interval(values, bins):
    series = pl.Series("x", values, dtype=pl.Float64)
    one = cut(series, bins, 10)
    assert one.codes.min() >= 0 and one.codes.max() < len(one.values)
    assert len(set(one.values)) == len(one.values)
    for value, code in zip(values, one.codes, strict=True):
        name = one.values[code]
        if not name.startswith("["):
            continue
        low, high = (float(edge) for edge in name[1:-1].split(", "))
        slack = 1e-5 * max(abs(low), abs(high))  # six digits are shown
        assert low - slack <= value <= high + slack


@given(st.lists(st.sampled_from(["a", "b", "c", "d", "e", None]), min_size=1, max_size=60), st.integers(1, 4))
@settings(max_examples=100, deadline=None)
def test_values_beyond_the_most_frequent_are_one_slice(values, kept):
    one = cut(pl.Series("x", values, dtype=pl.String), 5, kept)
    counts = {v: values.count(v) for v in set(values) - {None}}
    frequent = sorted(counts, key=lambda v: (-counts[v], v))[:kept]
    for value, code in zip(values, one.codes, strict=True):
        expected = NULL if value is None else value if value in frequent else OTHER
        assert one.values[code] == expected


def test_dates_are_named_as_dates():
    days = pl.date_range(date(2020, 1, 1), date(2020, 12, 31), eager=True).alias("day")
    one = cut(days, 4, 10)
    assert len(one.values) == 4
    assert one.values[0].startswith("[2020-01-01, 2020-04-")
    assert one.values[-1].endswith("2020-12-31]")


def test_few_numbers_are_values_and_close_edges_keep_their_digits():
    assert cut(pl.Series("x", [1, 2, 3, 2]), 5, 10).values == ("2", "1", "3")
    close = pl.Series("x", 1e9 + np.arange(100) / 10)
    assert len(set(cut(close, 5, 10).values)) == 5


def test_a_cross_names_both_values_and_counts_every_row():
    left, right = pl.Series("a", ["x", "y"] * 50), pl.Series("b", ["p"] * 30 + ["q"] * 70)
    one = crossed([cut(left, 5, 10), cut(right, 5, 10)], 3)
    assert one.column == "a & b"
    rows = {value: int((one.codes == code).sum()) for code, value in enumerate(one.values)}
    assert rows == {"x & q": 35, "y & q": 35, "x & p": 15, OTHER: 15}
