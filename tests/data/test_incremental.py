"""Data in partitions: a run over changed files equals a run in a fresh store, and works on what changed only."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.data.spec import CLEAN, COLLECT, PREPARE, SPLIT
from mldlc.profile.spec import PROFILE
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
            "s": "v" + (bits % 3).cast(pl.String) + " ",
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


def test_an_untouched_partition_is_neither_cleaned_again_nor_copied(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(4):
        write(data, f"p{number}.csv", number)
    chain = Chain(tmp_path / "out", config(source={"roles": ROLES}, clean={"strip": False}), [COLLECT, CLEAN])
    made = chain.run(csv(data))
    assert made["data.clean.table"] == made["data.collect.table"], "the rules touch nothing: the same files"
    chain.config["clean"] = {**chain.config["clean"], "strip": True}
    made = chain.run(csv(data))
    assert chain.worked == {"data.clean": 4} and made["data.clean.table"] != made["data.collect.table"]
    write(data, "p2.csv", 22)
    chain.run(csv(data))
    assert chain.worked == {"data.collect": 1, "data.clean": 1}


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("random", {}), ("random", {"duplicates": "ignore"}), ("stratified", {}), ("group", {"by": "s"}),
        ("column", {"by": "s", "values": {"train": ["v0", "v1"], "test": ["v2"]}}),
    ],
)  # fmt: skip
def test_only_new_partitions_are_dealt_or_hashed(tmp_path: Path, kind: str, changes: dict) -> None:
    data = tmp_path / "data"
    for number in range(5):
        write(data, f"p{number}.csv", number)
    if kind == "group":
        changes = {**changes, "fractions": {"train": 0.5, "test": 0.5}, "seed": 3}
    chain = Chain(tmp_path / "out", config(split=kind, source={"roles": ROLES}), [COLLECT, CLEAN, SPLIT])
    chain.config["split"] = {**chain.config["split"], **changes}
    chain.run(csv(data))
    write(data, "p4.csv", 44)
    made = chain.run(csv(data))
    assert chain.worked == {"data.collect": 1, "data.clean": 1, "data.split": 1}
    assert made == Chain(tmp_path / "fresh", chain.config, chain.stages).run(csv(data))


class _Folder:
    """Partition files that are edited, added, removed and renamed."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def change(self, how: str, which: int, seed: int) -> None:
        files = csv(self.root)
        chosen = files[which % len(files)] if files else None
        if how == "add" or chosen is None:
            write(self.root, f"{seed:03d}.csv", seed, 20 + seed % 7)
        elif how == "edit":
            write(self.root, chosen.name, seed, 20 + seed % 7)
        elif how == "remove" and len(files) > 1:
            chosen.unlink()
        elif how == "rename":
            chosen.rename(self.root / f"{seed:03d}.csv")


CHANGES = st.tuples(st.sampled_from(["add", "edit", "remove", "rename"]), st.integers(0, 9), st.integers(0, 30))


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["random", "stratified"]),
    start=st.sets(st.integers(0, 30), min_size=1, max_size=4),
    rounds=st.lists(st.lists(CHANGES, min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_a_run_over_changed_partitions_equals_a_run_in_a_fresh_store(
    tmp_path_factory: pytest.TempPathFactory, kind: str, start: set[int], rounds: list
) -> None:
    root = tmp_path_factory.mktemp("property")
    data = root / "data"
    for seed in start:
        write(data, f"{seed:03d}.csv", seed)
    chosen = config(split=kind, source={"roles": ROLES})
    chain = Chain(root / "out", chosen, STAGES)
    chain.run(csv(data))
    for number, changes in enumerate(rounds):
        for change in changes:
            _Folder(data).change(*change)
        made = chain.run(csv(data))
        assert made == Chain(root / f"fresh{number}", chosen, STAGES).run(csv(data))
        chain.run(csv(data))
        assert not chain.worked, "nothing changed, so nothing is worked on"


STAGES = (COLLECT, CLEAN, SPLIT, PROFILE, PREPARE)


def test_only_new_partitions_are_transformed_where_the_fit_stands(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(5):
        write(data, f"p{number}.csv", number)
    stages = (COLLECT, CLEAN, SPLIT, PREPARE)
    chosen = config(split="column", source={"roles": {**ROLES, "part": "ignore"}})
    chosen["split"] = {**chosen["split"], "by": "part"}
    for number, path in enumerate(csv(data)):
        part = "train" if number < 3 else "val" if number == 3 else "test"
        pl.read_csv(path).with_columns(part=pl.lit(part)).write_csv(path)
    chain = Chain(tmp_path / "out", chosen, stages)
    first = chain.run(csv(data))
    pl.read_csv(data / "p4.csv").tail(30).write_csv(data / "p4.csv")
    second = chain.run(csv(data))
    assert first["data.prepare.preprocessor"] == second["data.prepare.preprocessor"], "the test part is not fitted on"
    assert chain.worked["data.prepare"] == 1
    assert second == Chain(tmp_path / "fresh", chosen, stages).run(csv(data))
    pl.read_csv(data / "p0.csv").tail(30).write_csv(data / "p0.csv")
    third = chain.run(csv(data))
    assert chain.worked["data.prepare"] == 5, "the fit moved"
    assert third == Chain(tmp_path / "fresh2", chosen, stages).run(csv(data))


def test_only_new_partitions_are_profiled(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for number in range(5):
        write(data, f"p{number}.csv", number)
    chain = Chain(tmp_path / "out", config(source={"roles": ROLES}), (COLLECT, CLEAN, SPLIT, PROFILE))
    chain.run(csv(data))
    assert chain.worked["profile.profile"] == 5
    pl.read_csv(data / "p2.csv").with_columns(pl.col("a") * 1000).write_csv(data / "p2.csv")
    made = chain.run(csv(data))
    assert chain.worked["profile.profile"] == 1, "also where the range of a column moved"
    assert made == Chain(tmp_path / "fresh", chain.config, chain.stages).run(csv(data))
