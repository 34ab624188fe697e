"""Tables: equal rows give equal bytes however the frame came about, for every column type."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from mldlc.artifacts.split import read_codes
from mldlc.artifacts.table import load_partition, sink_partition, write_partition

VALUES = {
    pl.Int8(): 3, pl.UInt64(): 2**63, pl.Float32(): 0.5, pl.Boolean(): True, pl.String(): "a text longer than a view",
    pl.Date(): datetime.date(2020, 1, 1), pl.Datetime("ns", "UTC"): datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    pl.Time(): datetime.time(1, 2), pl.Duration("ms"): datetime.timedelta(3), pl.Decimal(9, 2): Decimal("1.25"),
    pl.List(pl.Int64()): [1, 2], pl.Array(pl.Float32(), 2): [1.0, 2.0], pl.Binary(): b"x",
    pl.Struct({"a": pl.Int8()}): {"a": 1},
}  # fmt: skip


def test_every_type_comes_back(tmp_path: Path) -> None:
    frame = pl.DataFrame({str(i): pl.Series([v, None, v], dtype=t) for i, (t, v) in enumerate(VALUES.items())})
    write_partition(frame, tmp_path / "x")
    assert_frame_equal(pl.read_ipc(tmp_path / "x"), frame)


columns = {
    "i": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), "f": st.one_of(st.none(), st.floats(allow_nan=False)),
    "s": st.one_of(st.none(), st.text(max_size=20)), "b": st.one_of(st.none(), st.booleans()),
    "t": st.one_of(st.none(), st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))),
}  # fmt: skip
SCHEMA = {"i": pl.Int64, "f": pl.Float64, "s": pl.String, "b": pl.Boolean, "t": pl.Datetime("us")}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=40), st.data())
def test_equal_rows_give_equal_bytes(rows: list[dict], data: st.DataObject) -> None:
    import tempfile

    plain = pl.DataFrame(rows, schema=SCHEMA)
    cut = data.draw(st.integers(0, len(rows)))
    longer = pl.concat([plain, plain.select(pl.col(name).shift(1) for name in SCHEMA)])
    ways = [
        plain.lazy(),
        pl.concat([plain[:cut], plain[cut:]], rechunk=False).lazy(),
        longer.head(len(rows)).lazy(),
        longer.lazy().with_row_index("r").filter(pl.col("r") < len(rows)).drop("r"),
        longer.select(pl.when(pl.col(n).is_not_null()).then(pl.col(n)) for n in SCHEMA).head(len(rows)).lazy(),
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for number, way in enumerate(ways):
            sink_partition(way, Path(folder) / str(number))
            made.append((Path(folder) / str(number)).read_bytes())
        assert all(item == made[0] for item in made)


def test_a_bracket_in_a_path_is_no_pattern(tmp_path: Path) -> None:
    folder = tmp_path / "runs [1]*"
    folder.mkdir()
    write_partition(pl.DataFrame({"split": [1, 0]}, schema={"split": pl.UInt8}), folder / "part.arrow")
    pl.DataFrame({"a": [3]}).write_parquet(folder / "part.parquet")
    assert load_partition(folder / "part.arrow")["split"].to_list() == read_codes(folder / "part.arrow").tolist()
    assert load_partition(folder / "part.parquet", "part.parquet")["a"].to_list() == [3]
