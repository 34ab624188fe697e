"""States kept by partition: bytes and back, and the same facts as one pass over all rows."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mldlc.profile import combine
from mldlc.profile.combine import combined, compact, kept
from mldlc.profile.observe import Settings
from mldlc.profile.profile import profile_frame
from mldlc.profile.state_file import PLAIN, dump, load
from mldlc.profile.summary import column_summary
from tests.profile.frames import mixed

SETTINGS = Settings()


def pieces(frame: pl.DataFrame, count: int) -> list[pl.DataFrame]:
    step = -(-frame.height // count)
    return [frame[start : start + step] for start in range(0, frame.height, step)]


def together(frames: list[pl.DataFrame], size: int) -> list[dict]:
    """Summaries by way of the bytes that are kept of each frame."""
    kept_bytes = [dump([compact(state, size, SETTINGS) for state in profile_frame(frame)]) for frame in frames]
    states = combined({"": [load(data) for data in kept_bytes]}, SETTINGS)[""]
    return [column_summary(state, "feature", SETTINGS, 20) for state in states]


def test_bytes_and_back_lose_nothing_but_the_histogram() -> None:
    states = [compact(state, kept(10), SETTINGS) for state in profile_frame(mixed(3000, 4))]
    for state, again in zip(states, load(dump(states)), strict=True):
        assert [getattr(again, name) for name in PLAIN] == [getattr(state, name) for name in PLAIN]
        assert again.moments == state.moments and (again.ranks is None) == (state.ranks is None)
        if state.ranks is not None and again.ranks is not None:
            assert again.ranks.exact == state.ranks.exact
            assert np.array_equal(again.ranks.values, state.ranks.values)
            assert np.array_equal(again.ranks.weights, state.ranks.weights)
        assert (again.items is None) == (state.items is None)
        if state.items is not None and again.items is not None:
            assert again.items.frame.equals(state.items.frame)
            assert (again.items.offset, again.items.complete) == (state.items.offset, state.items.complete)
        estimates = [side.hll and side.hll.get_estimate() for side in (state, again)]
        assert estimates[0] == estimates[1]


@pytest.mark.parametrize("count", [2, 3, 17])
@pytest.mark.parametrize("rows", [17, 5000])
def test_partitions_together_show_what_one_pass_shows(count: int, rows: int) -> None:
    frame = mixed(rows, 5)
    one = [column_summary(state, "feature", SETTINGS, 20) for state in profile_frame(frame)]
    for alone, many in zip(one, together(pieces(frame, count), kept(rows)), strict=True):
        for key, value in alone.items():
            if key in ("mean", "std") and value is not None:
                assert many[key] == pytest.approx(value, rel=1e-9), (alone["name"], key)
            elif key == "distinct" and not alone["distinct_exact"] and value is not None:
                assert many[key] == pytest.approx(value, rel=0.05), alone["name"]
            else:
                assert many[key] == value, (alone["name"], key)


def test_integers_beyond_int64_in_one_partition_only() -> None:
    frames = [pl.DataFrame({"x": pl.Series([1, 2, 2], dtype=pl.UInt64)}), pl.DataFrame({"x": pl.Series([2, 2**63 + 5], dtype=pl.UInt64)})]  # fmt: skip
    (facts,) = together(frames, 100)
    assert facts["top"][0] == [2, 3] and facts["distinct"] == 3 and facts["max"] == 2**63 + 5


def test_an_empty_partition_and_a_column_of_nulls() -> None:
    frame = mixed(50, 6)
    (facts, *_) = together([frame[:0], frame, frame[:0]], 100)
    assert facts["count"] + facts["nulls"] == 50
    nothing = pl.DataFrame({"x": pl.Series([None, None], dtype=pl.Float64)})
    (facts,) = together([nothing, nothing], 100)
    assert facts["nulls"] == 4 and facts["mean"] is None


def test_a_large_table_keeps_less_and_stays_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combine, "LEAN", 256)
    monkeypatch.setattr(combine, "SMALL", 100)
    values = np.random.default_rng(0).lognormal(size=20_000)
    frame = pl.DataFrame({"x": values, "s": [f"u{int(v * 50)}" for v in values]})
    assert kept(frame.height) == 256
    facts, texts = together(pieces(frame, 10), kept(frame.height))
    for share, found in facts["quantiles"].items():
        rank = (values <= found).mean()
        assert abs(rank - float(share)) <= 1 / 256, share
    exact = np.histogram(values, facts["histogram"]["edges"])[0].cumsum()
    assert np.abs(np.cumsum(facts["histogram"]["counts"]) - exact).max() <= len(values) / 256
    assert sum(facts["histogram"]["counts"]) == len(values) and facts["max"] == values.max()
    counts = dict(frame["s"].value_counts().iter_rows())
    for value, count in texts["top"]:
        assert counts[value] <= count <= counts[value] + texts["top_error"]
