"""The names in a Parquet footer, against Polars; what is no Parquet file has none."""

from __future__ import annotations

import datetime
import random
import sys
from pathlib import Path

import polars as pl
import pytest

from mldlc.data.parquet_names import column_names

BUNDLED = Path(__file__).resolve().parents[2] / "mldlc" / "data" / "bundled"
NESTED = pl.DataFrame(
    {
        "id": [1, 2],
        "point": [{"x": 1.5, "tags": ["a"]}, {"x": 2.5, "tags": []}],
        "deep": [[[{"k": {"v": [1]}}]], []],
        "when": [datetime.datetime(2026, 1, 1), None],
        "ünï": ["é", None],
        "flag": [True, None],
    }
)


@pytest.mark.parametrize("name", sorted(path.name for path in BUNDLED.glob("*.parquet")))
def test_the_bundled_files(name: str) -> None:
    assert column_names(BUNDLED / name) == pl.read_parquet_schema(BUNDLED / name).names()


@pytest.mark.parametrize("columns", [1, 14, 15, 16, 200, 3000])
def test_as_many_as_there_are(tmp_path: Path, columns: int) -> None:
    frame = pl.DataFrame({f"column {number}" * (1 + number % 20): [number] for number in range(columns)})
    frame.write_parquet(tmp_path / "x.parquet", row_group_size=1)
    assert column_names(tmp_path / "x.parquet") == frame.columns


def test_nested_columns_count_once(tmp_path: Path) -> None:
    NESTED.write_parquet(tmp_path / "x.parquet", statistics="full", metadata={"note": "x" * 500})
    assert column_names(tmp_path / "x.parquet") == NESTED.columns


def test_what_cannot_be_read_has_none(tmp_path: Path) -> None:
    file = tmp_path / "x.parquet"
    for data in (b"", b"PAR1", b"a,b\n1,2\n", b"PAR1" + (100).to_bytes(4, "little") + b"PAR1", b"x" * 50 + b"PAR1"):
        file.write_bytes(data)
        assert column_names(file) == []
    NESTED.write_parquet(file)
    whole, chance = file.read_bytes(), random.Random(1)
    for _ in range(300):  # a damaged footer gives some names or none, never an error of another kind
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole) - 400, len(whole) - 8)] = chance.randrange(256)
        file.write_bytes(damaged)
        assert isinstance(column_names(file), list)


def test_it_imports_nothing_heavy() -> None:
    import subprocess

    code = "import mldlc.data.plan_check, sys; sys.exit(bool({'polars', 'numpy', 'pyarrow', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
