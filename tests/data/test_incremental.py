"""Data in partitions: a run over changed files equals a run in a fresh store, and works on what changed only."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mldlc.data.spec import COLLECT
from tests.data.chain import Chain, config

ROLES = {"id": "row_id", "y": "label"}


def frame(seed: int, rows: int = 40) -> pl.DataFrame:
    """Rows of mixed types with gaps; equal seeds give equal rows."""
    n = pl.int_range(rows, eager=True).alias("n")
    bits = (n + 1_000 * seed).hash(seed)
    return pl.DataFrame(
        {
            "id": n + 1_000 * seed,
            "a": (bits % 997).cast(pl.Float64) / 7,
            "b": pl.select(pl.when(bits % 5 > 0).then(bits % 50)).to_series().cast(pl.Int64),
            "s": (bits % 3).cast(pl.String) + " ",
            "y": (bits % 2).cast(pl.Int64),
        }
    )


def write(folder: Path, name: str, seed: int, rows: int = 40) -> Path:
    folder.mkdir(exist_ok=True)
    frame(seed, rows).write_csv(folder / name)
    return folder / name


def csv(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.csv"))


def test_collect_reads_only_files_with_new_bytes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(6):
        write(data, f"p{number}.csv", number)
    chain = Chain(tmp_path / "out", config(source={"roles": ROLES}), [COLLECT])
    chain.run(csv(data))
    assert chain.worked == {"data.collect": 7}, "six files, and the types of the first"
    write(data, "p3.csv", 33)
    (data / "p0.csv").rename(data / "q0.csv")
    write(data, "p9.csv", 9)
    (data / "p1.csv").unlink()
    made = chain.run(csv(data))
    assert chain.worked == {"data.collect": 3}, "an edit, an addition, and the types of what is now the first"
    fresh = Chain(tmp_path / "fresh", chain.config, [COLLECT]).run(csv(data))
    assert made == fresh
    table = chain.read("Table", made["data.collect.table"])
    assert [p.name for p in table.partitions] == ["p2.csv", "p3.csv", "p4.csv", "p5.csv", "p9.csv", "q0.csv"]


def test_other_types_in_the_first_file_read_all_files_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(3):
        write(data, f"p{number}.csv", number)
    chain = Chain(tmp_path / "out", config(source={"roles": ROLES}), [COLLECT])
    chain.run(csv(data))
    whole = pl.read_csv(data / "p0.csv").with_columns(pl.col("b").cast(pl.Float64) + 0.5)
    whole.write_csv(data / "p0.csv")
    chain.run(csv(data))
    assert chain.worked == {"data.collect": 4}


def test_a_file_that_changed_after_it_was_hashed_leaves_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    for number in range(3):
        write(data, f"p{number}.csv", number)
    chain = Chain(tmp_path / "out", config(source={"roles": ROLES}), [COLLECT])
    from mldlc.data import csv_scan

    real = csv_scan.read

    def late(path: Path, *args: object) -> None:
        if path.name == "p1.csv":
            write(data, "p1.csv", 77)
        real(path, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(csv_scan, "read", late)
    with pytest.raises(AssertionError, match="changed while it was read"):
        chain.run(csv(data))
    monkeypatch.undo()
    write(data, "p1.csv", 1)
    made = chain.run(csv(data))
    assert made == Chain(tmp_path / "fresh", chain.config, [COLLECT]).run(csv(data))
