"""The two interpreters of a Preprocessor agree to the bit on any row; its codec keeps every bit."""

from __future__ import annotations

import datetime
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.artifacts.preprocessor import Preprocessor, category, load_preprocessor, save_preprocessor
from tests.step_harness import artifact

GRID = [-1e9, -3.5, 0.0, 1e-300, 2.0, 7.25, 1e12]
INPUTS = {
    "f32": pl.Float32, "f64": pl.Float64, "i64": pl.Int64, "flag": pl.Boolean,
    "text": pl.String, "whole": pl.Int64, "day": pl.Date, "time": pl.Datetime("us"),
}  # fmt: skip
OPS: list[dict[str, Any]] = [
    {"op": "number", "of": "f32", "out": "f32"},
    {"op": "number", "of": "f64", "out": "f64"},
    {"op": "number", "of": "i64", "out": "i64"},
    {"op": "number", "of": "i64", "out": "ranked"},
    {"op": "number", "of": "f64", "out": "logged"},
    {"op": "number", "of": "flag", "out": "flag"},
    {"op": "date_part", "of": "day", "part": "year", "out": "day.year"},
    {"op": "date_part", "of": "day", "part": "month", "out": "day.month"},
    {"op": "date_part", "of": "day", "part": "hour", "out": "day.hour"},
    {"op": "date_part", "of": "time", "part": "dow", "out": "time.dow"},
    {"op": "date_part", "of": "time", "part": "day", "out": "time.day"},
    {"op": "date_part", "of": "time", "part": "hour", "out": "time.hour"},
    {"op": "ratio", "of": ["f64", "i64"], "out": "ratio"},
    {"op": "difference", "of": ["f64", "f32"], "out": "difference"},
    {"op": "product", "of": ["f64", "f32", "ratio"], "out": "product"},
    {"op": "log", "of": ["f64"], "out": "log"},
    {"op": "missing", "of": "f64", "out": "f64.missing"},
    *(
        {"op": "fill", "of": name, "value": value}
        for name, value in (
            ("f32", 0.1), ("f64", -1.5), ("i64", 3.0), ("ranked", 1.0), ("logged", 0.0), ("flag", 0.0), ("log", 0.0),
            ("day.year", 2000.0), ("day.hour", 0.0), ("ratio", 1.0), ("difference", 0.0), ("product", 0.0),
        )
    ),
    {"op": "clip", "of": "i64", "low": -1000.0, "high": 1000.0},
    {"op": "log1p", "of": "logged"},
    {"op": "log1p", "of": "product"},
    {"op": "scale", "of": "f32", "center": 0.3, "scale": 1.7},
    {"op": "scale", "of": "f64", "center": 1e-7, "scale": 0.1},
    {"op": "scale", "of": "product", "center": 0.1, "scale": 1e-3},
    {"op": "scale", "of": "day.year", "center": 1990.3, "scale": 7.1},
    {"op": "quantile", "of": "ranked", "x": GRID, "z": [-2.0, -1.0, -0.1, 0.0, 0.3, 1.1, 2.0]},
    {"op": "cycle", "of": "day.month", "start": 1, "period": 12, "out": ["m.sin", "m.cos"]},
    {"op": "cycle", "of": "time.dow", "start": 0, "period": 7, "out": ["w.sin", "w.cos"]},
    {"op": "cycle", "of": "time.day", "start": 1, "period": 31, "out": ["d.sin", "d.cos"]},
    {"op": "cycle", "of": "time.hour", "start": 0, "period": 24, "out": ["h.sin", "h.cos"]},
    {"op": "one_hot", "of": "flag", "values": ["true"], "out": ["flag=:missing", "flag=:other", "flag=true"]},
    {"op": "codes", "of": "text", "values": ["", "a", "é", "true"], "out": "text"},
    {"op": "codes", "of": "whole", "values": ["-1", "7"], "out": "whole"},
]  # fmt: skip
NUMERIC = (
    "f32", "f64", "i64", "ranked", "logged", "flag", "day.year", "day.hour", "ratio", "difference", "product", "log",
    "f64.missing", "m.sin", "m.cos", "w.sin", "w.cos", "d.sin", "d.cos", "h.sin", "h.cos",
    "flag=:missing", "flag=:other", "flag=true",
)  # fmt: skip
MADE = Preprocessor(
    inputs=tuple({"name": name, "dtype": str(dtype)} for name, dtype in INPUTS.items()),
    ops=tuple(OPS),
    numeric=NUMERIC,
    categorical=(
        {"name": "text", "cardinality": 6, "values": [None, ":other", "", "a", "é", "true"]},
        {"name": "whole", "cardinality": 4, "values": [None, ":other", "-1", "7"]},
    ),
    label={"name": "y", "kind": "class", "classes": ["no", "yes"]},
)
doubles = st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 5e-324, 1.7e308, -1.7e308, 3.5e38, math.nan, math.inf]))
any_row = st.fixed_dictionaries(
    {
        "f32": st.one_of(st.none(), st.floats(width=32)),
        "f64": st.one_of(st.none(), doubles, st.sampled_from(GRID)),
        "i64": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-5, 5)),
        "flag": st.one_of(st.none(), st.booleans()),
        "text": st.one_of(st.none(), st.text(), st.sampled_from(["", "a", "é", "true", ":other"])),
        "whole": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.sampled_from([-1, 7])),
        "day": st.one_of(st.none(), st.dates(datetime.date(1, 1, 1), datetime.date(9999, 12, 31))),
        "time": st.one_of(st.none(), st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31))),
    }
)


def bits(values: Any) -> list[bytes]:
    return [np.float32(value).tobytes() for value in values]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(any_row, min_size=1, max_size=20), st.sampled_from([1, 2]))
def test_batch_and_row_agree_to_the_bit(rows: list[dict[str, Any]], threads: int) -> None:
    frame = MADE.transform_frame(pl.DataFrame(rows, schema=INPUTS), threads)
    for row, numeric, categorical in zip(
        rows, frame["numeric"].to_numpy(), frame["categorical"].to_numpy(), strict=True
    ):
        one = MADE.transform_row(row)
        assert bits(one["numeric"]) == bits(numeric)
        assert one["categorical"] == categorical.tolist()
        assert np.isfinite(numeric).all()


def test_blocks_and_threads_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "f32": rng.normal(size=40_000).astype(np.float32), "f64": rng.lognormal(3, 5, 40_000),
            "i64": rng.integers(-9, 9, 40_000), "flag": rng.random(40_000) > 0.5,
            "text": rng.choice(["a", "b", "é"], 40_000), "whole": rng.integers(0, 9, 40_000),
        }
    ).with_columns(day=pl.lit(datetime.date(2020, 2, 29)), time=pl.lit(datetime.datetime(2020, 1, 5, 23, 59)))  # fmt: skip
    whole = MADE.transform_frame(frame, 3)
    pieces = pl.concat([MADE.transform_frame(part, 1) for part in frame.iter_slices(1_111)])
    assert whole.equals(pieces)
    for at in range(0, 40_000, 371):
        assert bits(MADE.transform_row(frame.row(at, named=True))["numeric"]) == bits(whole["numeric"][at])


def test_dates_may_be_text_and_offsets_are_told_in_utc() -> None:
    row = dict.fromkeys(INPUTS) | {"day": "2020-03-01", "time": "2020-03-01T02:00:00+03:00"}
    same = row | {"day": datetime.date(2020, 3, 1), "time": datetime.datetime(2020, 2, 29, 23)}
    assert MADE.transform_row(row) == MADE.transform_row(same)
    batch = MADE.transform_frame(pl.DataFrame([row], schema={**INPUTS, "day": pl.String, "time": pl.String}))
    assert bits(batch["numeric"][0]) == bits(MADE.transform_row(same)["numeric"])


def test_label_becomes_a_class_index_and_an_unknown_class_minus_one() -> None:
    frame = pl.DataFrame([dict.fromkeys(INPUTS)] * 3, schema=INPUTS).with_columns(y=pl.Series(["yes", "no", "maybe"]))
    assert MADE.transform_frame(frame)["label"].to_list() == [1, 0, -1]
    assert "label" not in MADE.transform_frame(frame.drop("y")).columns


def test_wrong_input_is_named() -> None:
    row: dict[str, Any] = dict.fromkeys(INPUTS)
    with pytest.raises(ValueError, match="feature 'f64': expected a number, found 'abc'"):
        MADE.transform_row(row | {"f64": "abc"})
    with pytest.raises(ValueError, match="the row has no feature 'f32', 'text'"):
        MADE.transform_row({k: v for k, v in row.items() if k not in ("f32", "text")})
    with pytest.raises(ValueError, match="the frame has no feature 'f32'"):
        MADE.transform_frame(pl.DataFrame([row], schema=INPUTS).drop("f32"))
    with pytest.raises(ValueError, match="feature 'f64': expected numbers, found text"):
        MADE.transform_frame(pl.DataFrame([row], schema={**INPUTS, "f64": pl.String}))
    with pytest.raises(ValueError, match="feature 'day'"):
        MADE.transform_row(row | {"day": "yesterday"})


def test_the_codec_keeps_every_bit_and_moves_long_lists_to_arrays(tmp_path: Path) -> None:
    xs = np.sort(np.random.default_rng(1).normal(size=1500)).tolist()
    op = {"op": "quantile", "of": "f64", "x": xs, "z": np.linspace(-3, 3, 1500).tolist()}
    made = Preprocessor(MADE.inputs, (*OPS, op), NUMERIC, MADE.categorical, MADE.label, None, {"rows": 3})
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_preprocessor(tmp_path / name, made)
    for file in ("preprocessor.json", "arrays.npz"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    again = load_preprocessor(artifact("Preprocessor", tmp_path / "a"))
    assert list(again.ops)[-1] == op
    assert (again.info(), again.fit) == (made.info(), {"rows": 3})
    row = dict.fromkeys(INPUTS) | {"f64": 0.123}
    assert again.transform_row(row) == made.transform_row(row)


def test_one_row_needs_neither_polars_nor_numpy(tmp_path: Path) -> None:
    save_preprocessor(tmp_path, MADE)
    code = (
        "import sys, pathlib\n"
        "from mldlc.artifacts.handle import Artifact\n"
        "from mldlc.artifacts.preprocessor import load_preprocessor\n"
        f"made = load_preprocessor(Artifact('P', 'd', {{'preprocessor.json': pathlib.Path({str(tmp_path)!r}) / 'preprocessor.json'}}))\n"
        "print(made.transform_row({i['name']: None for i in made.inputs})['categorical'])\n"
        "assert not {'polars', 'numpy'} & set(sys.modules), sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[0, 0]\n"), done.stderr


def test_categories_have_one_text() -> None:
    assert [category(v) for v in (None, math.nan, True, False, 1, 1.0, 1.5, "x")] == [
        None, None, "true", "false", "1", "1", "1.5", "x"
    ]  # fmt: skip
