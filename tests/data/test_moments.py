"""Mergeable moments against the same numbers of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.data.moments import Moments


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), max_size=60), st.data())
def test_merged_moments_are_those_of_the_whole(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole = np.array(values, np.float64)
    merged = Moments.of(whole[:cut]).merge(Moments.of(whole[cut:]))
    assert merged.count == len(values)
    if values:
        assert (merged.low, merged.high) == (whole.min(), whole.max())
        assert merged.mean == pytest.approx(whole.mean(), rel=1e-9, abs=1e-6)
        assert merged.std == pytest.approx(whole.std(), rel=1e-6, abs=1e-3)


def test_many_values_in_blocks() -> None:
    values = np.random.default_rng(0).lognormal(size=100_001)
    made = Moments.of(values)
    assert made.std == pytest.approx(values.std(), rel=1e-12) and made.mean == pytest.approx(values.mean(), rel=1e-12)
    assert Moments().facts() == {"count": 0, "mean": 0.0, "m2": 0.0}
