"""Unused bits of bitmaps are zero, whatever made the frame, and nothing else in the file changes."""

from __future__ import annotations

import itertools
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mldlc.artifacts.arrow_bits import clear_unused_bits
from mldlc.artifacts.table import BATCH_ROWS, sink_partition

VALUES = {pl.Int64: (None, 1), pl.Float64: (None, 1.5), pl.String: (None, "x"), pl.Boolean: (None, True, False)}
NESTED = {
    "n": pl.Series([None] * 11, dtype=pl.Null), "b": pl.Series([True] * 11),
    "s": pl.Series([{"x": True, "y": None}, None, {"x": None, "y": "t"}] * 3 + [None] * 2, dtype=pl.Struct({"x": pl.Boolean, "y": pl.String})),
    "l": pl.Series([[True, None], None, []] * 3 + [[True]] * 2, dtype=pl.List(pl.Boolean)),
    "a": pl.Series([[True, True, None], None] * 5 + [None], dtype=pl.Array(pl.Boolean, 3)),
    "deep": pl.Series([[{"z": [True]}], None] * 5 + [[]], dtype=pl.List(pl.Struct({"z": pl.Array(pl.Boolean, 1)}))),
    "bin": pl.Series([b"x", None] * 5 + [b""]), "d": pl.Series([1, None] * 5 + [2], dtype=pl.Decimal(20, 2)), "last": pl.Series([True, None] * 5 + [True]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", VALUES, ids=str)
def test_equal_columns_give_equal_bytes_however_they_came_about(tmp_path: Path, dtype: pl.DataType) -> None:
    for values in itertools.chain.from_iterable(itertools.product(VALUES[dtype], repeat=n) for n in (1, 2, 3)):
        size = len(values)
        plain = pl.DataFrame({"v": pl.Series(values, dtype=dtype)})
        longer = pl.concat([plain, plain.select(pl.col("v").shift(1))])
        around = pl.concat([plain.reverse(), plain, plain], rechunk=True)
        ways = [
            plain.lazy(), longer.head(size).lazy(), around[size : 2 * size].lazy(), around.lazy().slice(size, size),
            longer.lazy().with_row_index("r").filter(pl.col("r") < size).drop("r"),
        ]  # fmt: skip
        made = set()
        for way in ways:
            sink_partition(way, tmp_path / "x")
            made.add((tmp_path / "x").read_bytes())
            assert_frame_equal(pl.read_ipc((tmp_path / "x").read_bytes()), plain)
        assert len(made) == 1, values


def test_only_unused_bits_change(tmp_path: Path) -> None:
    frame, path = pl.DataFrame(NESTED), tmp_path / "x"
    frame.write_ipc(path, compression="uncompressed", compat_level=pl.CompatLevel.oldest())
    before = path.read_bytes()
    clear_unused_bits(path, frame.dtypes)
    once = path.read_bytes()
    assert len(once) == len(before)
    assert all(new & ~old == 0 for old, new in zip(before, once, strict=True)), "bits are only ever cleared"
    assert_frame_equal(pl.read_ipc(path.read_bytes()), frame)
    dirty = bytearray(once)
    at = [i for i, (old, new) in enumerate(zip(before, once, strict=True)) if old != new]
    for place in at:
        dirty[place] = before[place]
    path.write_bytes(dirty)
    clear_unused_bits(path, frame.dtypes)
    assert path.read_bytes() == once


def test_every_batch_is_cleared_and_an_empty_table_is_fine(tmp_path: Path) -> None:
    rows = BATCH_ROWS + 3
    frame = pl.DataFrame({"b": pl.Series([True] * rows)})
    sink_partition(frame.lazy(), tmp_path / "whole")
    sink_partition(pl.concat([frame[: rows - 1], frame[rows - 1 :]], rechunk=False).lazy(), tmp_path / "parts")
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()
    sink_partition(frame.head(0).lazy(), tmp_path / "empty")
    assert pl.read_ipc(tmp_path / "empty").height == 0
