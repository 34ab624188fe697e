"""Tensor layout: what is written is what is mapped, without a copy, for any block widths and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.artifacts import tensors
from mldlc.artifacts.arrow_map import map_columns
from mldlc.artifacts.table import Table, write_table
from mldlc.artifacts.tensors import load_tensors, tensor_frame, write_tensors
from tests.step_harness import artifact


def make(rows: int, numeric: int, categorical: int, weight: bool, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return tensor_frame(
        rng.normal(size=(rows, numeric)).astype(np.float32),
        rng.integers(0, 9, (rows, categorical)).astype(np.int32),
        rng.integers(0, 2, rows).astype(np.int32),
        rng.random(rows).astype(np.float32) if weight else None,
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=3), st.integers(0, 4), st.integers(0, 3), st.booleans(),
    st.sampled_from([64, 1 << 22]),
)  # fmt: skip
def test_what_is_written_is_what_is_mapped(
    sizes: list[int], numeric: int, categorical: int, weight: bool, batch: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensors, "BATCH_ROWS", batch)
        frames = [make(n, numeric, categorical, weight, i) for i, n in enumerate(sizes)]
        rows = write_tensors(Path(folder), [(f"p{i}", f) for i, f in enumerate(frames)], {"numeric": []})
        made = load_tensors(Table(artifact("Table", Path(folder))))
        whole = pl.concat(frames)
        assert rows == made.rows == whole.height
        assert made.numeric.shape == (rows, numeric) and made.categorical.shape == (rows, categorical)
        for name in whole.columns:
            stored = getattr(made, name)
            assert np.array_equal(stored, whole[name].to_numpy()) and stored.dtype == whole[name].to_numpy().dtype
        assert (made.weight is not None) == weight


def test_one_partition_is_mapped_and_writing_stays_private(tmp_path: Path) -> None:
    write_tensors(tmp_path, [("p", make(1000, 3, 1, False))], {})
    table = Table(artifact("Table", tmp_path))
    before = (tmp_path / "part-00000.arrow").read_bytes()
    first, second = load_tensors(table), load_tensors(table)
    assert first.numeric.base is not None and not first.numeric.flags.owndata
    assert first.numeric.ctypes.data % 8 == 0
    first.numeric[:] = 7
    assert (tmp_path / "part-00000.arrow").read_bytes() == before
    assert not np.array_equal(first.numeric, second.numeric)


def test_other_tables_and_files_are_refused(tmp_path: Path) -> None:
    write_table(tmp_path, [("p", pl.DataFrame({"x": [1]}))])
    with pytest.raises(ValueError, match="is it a prepared table"):
        load_tensors(Table(artifact("Table", tmp_path)))
    column = [(np.dtype("<i4"), None)]
    (tmp_path / "text").write_text("x" * 100)
    with pytest.raises(ValueError, match="is no Arrow IPC file"):
        map_columns(tmp_path / "text", column)
    frame = pl.DataFrame({"x": pl.Series([1, None], dtype=pl.Int32)})
    frame.write_ipc(tmp_path / "nulls", compression="uncompressed")
    with pytest.raises(ValueError, match="has nulls"):
        map_columns(tmp_path / "nulls", column)
    frame.drop_nulls().write_ipc(tmp_path / "zstd", compression="zstd")
    with pytest.raises(ValueError, match="is compressed"):
        map_columns(tmp_path / "zstd", column)
