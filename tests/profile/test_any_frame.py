"""Random frames of every dtype: the profile is always writable, readable, mergeable, bounded and deterministic."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes
from whylogs.core.view.dataset_profile_view import DatasetProfileView

from mldlc.profile.observe import Settings, family_of
from mldlc.profile.profile import extents_of, merged, profile_frame
from mldlc.profile.summary import table_summary
from mldlc.profile.view import dataset_view, serialise
from tests.profile.frames import mixed

SETTINGS = Settings()
DTYPES = [
    pl.Boolean, pl.Int8, pl.Int64, pl.UInt64, pl.Int128, pl.Float32, pl.Float64, pl.Decimal, pl.String, pl.Categorical,
    pl.Enum, pl.Date, pl.Datetime, pl.Duration, pl.Time, pl.Binary, pl.List, pl.Array, pl.Struct, pl.Null,
]  # fmt: skip


def artifact_bytes(frame: pl.DataFrame) -> tuple[bytes, str]:
    states = profile_frame(frame)
    summary = table_summary(frame.height, states, {}, SETTINGS, 20)
    return serialise(dataset_view(states, SETTINGS, {})), json.dumps(summary, allow_nan=False)


@settings(max_examples=60, deadline=None)
@given(frame=dataframes(allowed_dtypes=DTYPES, max_cols=4, max_size=30, allow_null=True), data=st.data())
def test_any_frame_is_profiled(frame: pl.DataFrame, data: st.DataObject) -> None:
    profile, summary = artifact_bytes(frame)
    assert artifact_bytes(frame) == (profile, summary)
    view = DatasetProfileView.deserialize(profile) if frame.width else None
    cut = data.draw(st.integers(0, frame.height))
    extents = extents_of([frame])
    joined = merged([profile_frame(frame[:cut], extents), profile_frame(frame[cut:], extents)], SETTINGS)
    serialise(dataset_view(joined, SETTINGS, {}))
    for series, state, facts in zip(frame, joined, json.loads(summary)["columns"], strict=True):
        nulls = len(series) if series.dtype == pl.Null else series.null_count()
        nans = int(series.is_nan().sum()) if series.dtype.is_float() else 0
        assert (facts["nulls"], facts["nans"], facts["count"]) == (nulls, nans, len(series) - nulls - nans)
        assert (state.n, state.null, state.nan) == (len(series), nulls, nans)
        counts = view.get_column(series.name).to_summary_dict() if view else {}
        assert (counts["counts/n"], counts["counts/null"]) == (len(series), nulls + nans)
        check_values(series, facts)


def check_values(series: pl.Series, facts: dict[str, object]) -> None:
    """Extremes, distinct values, top and histogram by plain Python over the values."""
    family = family_of(series.dtype)
    values = [value for value in series.to_list() if value is not None]
    if family == "string" or family == "boolean":
        assert facts["distinct"] == len(set(values)) or max(map(len, map(str, values)), default=0) > 128
        assert dict(facts["top"]) == {v: values.count(v) for v, _ in facts["top"]}
    if family == "integer" and values:
        assert (facts["min"], facts["max"]) == (min(values), max(values))
        assert all(values.count(v) == c for v, c in facts["top"])
        assert sum(facts["histogram"]["counts"]) == len(values)
    if family == "float":
        finite = [float(v) for v in values if isinstance(v, Decimal) or math.isfinite(v)]
        assert sum(facts.get("histogram", {"counts": []})["counts"]) == len(finite)
        if finite:
            assert (facts["min"], facts["max"]) == (min(finite), max(finite))


@pytest.mark.parametrize("rows", [0, 1, 2, 5000])
def test_mixed_frame_survives_a_merge_and_a_stock_round_trip(rows: int) -> None:
    frame = mixed(rows)
    view = DatasetProfileView.deserialize(artifact_bytes(frame)[0])
    again = DatasetProfileView.deserialize(view.merge(view).serialize())
    assert set(again.get_columns()) == set(frame.columns)
    assert all(column.to_summary_dict()["counts/n"] == 2 * rows for column in again.get_columns().values())


def test_python_objects_are_counted() -> None:
    frame = pl.DataFrame({"o": pl.Series([object(), None, object()], dtype=pl.Object)})
    (facts,) = json.loads(artifact_bytes(frame)[1])["columns"]
    assert (facts["count"], facts["nulls"], facts["types"]) == (2, 1, {"object": 2})


def test_unsigned_values_above_int64_are_exact_in_the_summary_and_clipped_in_whylogs() -> None:
    values = [2**64 - 1, 2**63, 5, 5]
    profile, summary = artifact_bytes(pl.DataFrame({"u": pl.Series(values, dtype=pl.UInt64)}))
    (facts,) = json.loads(summary)["columns"]
    assert (facts["min"], facts["max"], facts["distinct"]) == (5, 2**64 - 1, 3)
    assert dict(facts["top"]) == {5: 2, 2**63: 1, 2**64 - 1: 1}
    shown = DatasetProfileView.deserialize(profile).get_column("u").to_summary_dict()
    assert (shown["ints/min"], shown["ints/max"], shown["counts/n"]) == (5, 2**63 - 1, 4)
    assert round(shown["cardinality/est"]) == 3


def test_infinities_count_in_whylogs_mean_and_not_in_the_summary() -> None:
    profile, summary = artifact_bytes(pl.DataFrame({"x": [1.0, 3.0, math.inf, math.nan, None]}))
    (facts,) = json.loads(summary)["columns"]
    assert (facts["mean"], facts["min"], facts["max"], facts["infs"], facts["nans"]) == (2.0, 1.0, 3.0, 1, 1)
    shown = DatasetProfileView.deserialize(profile).get_column("x").to_summary_dict()
    assert (shown["distribution/mean"], shown["distribution/max"], shown["counts/null"]) == (math.inf, math.inf, 2)


PRINT_DIGEST = """
import hashlib
from tests.profile.frames import mixed
from tests.profile.test_any_frame import artifact_bytes
profile, summary = artifact_bytes(mixed(150_000))
print(hashlib.sha256(profile).hexdigest(), hashlib.sha256(summary.encode()).hexdigest())
"""


def test_bytes_do_not_depend_on_process_or_threads() -> None:
    root = Path(__file__).parents[2]
    digests = set()
    for threads, seed in (("1", "1"), ("4", "2")):
        env = {**os.environ, "POLARS_MAX_THREADS": threads, "PYTHONHASHSEED": seed}
        found = subprocess.run([sys.executable, "-c", PRINT_DIGEST], env=env, cwd=root, capture_output=True, text=True)
        assert found.returncode == 0, found.stderr
        digests.add(found.stdout)
    assert len(digests) == 1
