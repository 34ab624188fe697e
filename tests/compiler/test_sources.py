"""Outside files: a plan sees every change of them, also a warm one, and names a missing one at its place."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.step import Source

COLLECT = "lifecycle.stages={collect:{kind:data.collect}}"  # no other stage reads a file
OWN = "import polars as pl\n\n\ndef read(files):\n    return pl.read_csv(files)\n"


def source(root: Path, *overrides: str) -> Source:
    plan = compile_plan(CompileRequest(root, (COLLECT, *overrides)))
    (found,) = (step for step in plan.steps if step.stage == "collect")
    return found.sources[0]


def write(root: Path, name: str, text: str = "a,b\n1,2\n") -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "mldlc.yaml", "name: own\nconf: conf\ncode: [src]\n")
    write(tmp_path, "src/own/__init__.py", "")
    write(tmp_path, "src/own/rows.py", OWN)
    write(
        tmp_path,
        "conf/experiment/x.yaml",
        "# @package _global_\ndefaults: [{override /source: csv}]\nsource: {path: raw/rows.csv}\n",
    )
    write(tmp_path, "data/day=1/x.csv")
    (tmp_path / "data" / "day=2").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    "overrides",
    [
        ("source=csv", "source.path=data/*/x.csv"),
        ("source=python", "source.target=own.rows:read", "source.files=[data/*/x.csv]"),
    ],
    ids=["csv", "python"],
)
def test_a_new_or_changed_file_of_a_glob_is_seen_by_a_warm_plan(root: Path, overrides: tuple[str, ...]) -> None:
    seen = [source(root, *overrides) for _ in range(2)]
    assert seen[0] == seen[1] and len(seen[0].paths) == 1
    for number, (name, text) in enumerate(
        [("data/day=2/x.csv", "a,b\n3,4\n"), ("data/day=3/x.csv", "a,b\n5,6\n"), ("data/day=1/x.csv", "a,b\n7,8\n")]
    ):
        write(root, name, text)
        seen.append(source(root, *overrides))
        assert seen[-1].token != seen[-2].token
        assert len(seen[-1].paths) == min(3, number + 2)
    assert source(root, *overrides) == seen[-1]


@pytest.mark.parametrize(
    "overrides",
    [
        ("source=csv", "source.path=data/*/x.csv"),
        ("source=python", "source.target=own.rows:read", "source.files=[data/*/x.csv]"),
    ],
    ids=["csv", "python"],
)
def test_a_partition_folder_that_is_renamed_is_another_source(root: Path, overrides: tuple[str, ...]) -> None:
    """The bytes are the same; the name of the partition, and what a function makes of `day=1`, are not."""
    for more in ("data/day=2/x.csv", "data/day=3/x.csv"):
        before = source(root, *overrides).token
        (root / "data/day=1").rename(root / "data/day=9")
        assert source(root, *overrides).token != before
        (root / "data/day=9").rename(root / "data/day=1")
        assert source(root, *overrides).token == before
        write(root, more)


@pytest.mark.parametrize("path", ["data/day=1/x.csv", "data/day=1/*.csv"])
def test_a_folder_that_the_config_names_is_not_part_of_the_data(root: Path, path: str) -> None:
    before = source(root, "source=csv", f"source.path='{path}'").token
    (root / "data/day=1").rename(root / "data/day=9")
    assert source(root, "source=csv", f"source.path='{path.replace('day=1', 'day=9')}'").token == before


@pytest.mark.parametrize(
    ("overrides", "place"),
    [
        (("experiment=x",), "conf/experiment/x.yaml:3"),
        (("experiment=x", "source.path='data/day=1/y.csv'"), "command line"),
        (("source=python", "source.target=own.rows:read", "source.files=['data/day=1/y.csv']"), "command line"),
    ],
)
def test_a_missing_file_is_named_where_it_is_written(root: Path, overrides: tuple[str, ...], place: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        source(root, *overrides)
    (told,) = caught.value.diagnostics
    assert (str(told.where), told.code) == (place, "missing_file")
    if place == "command line":
        assert "did you mean 'x.csv'?" in told.hint


WRONG = {
    "role": (("+source.roles.label=label",), "source.roles names 'label', which is no column", "columns: a, b"),
    "near": (("+source.roles.bb=label",), "source.roles names 'bb', which is no column", "did you mean 'b'?"),
    "declared": (("++source.columns={a: {dtype: int64}, c: {dtype: int64}}",), "x.csv has no column 'c'", "a, b"),
    "extra": (("++source.columns={a: {dtype: int64}}",), "x.csv has a column 'b' that source.columns does not", "drop"),
    "narrow": (("++source.columns={a: {dtype: int64}}", "source.has_header=false"), "has 2 columns, source", "order"),
    "twice": (("source.path=data/twice.csv",), "column 'a' is there twice", ""),
    "empty": (("source.path=data/empty.csv",), "empty.csv has no rows", ""),
    "no csv": (("source.path=data/long.csv",), "field larger than field limit", "is it a CSV file?"),
    "parquet": (("source=parquet", "source.path=data/x.parquet", "source.columns=[a,b,d]"), "no column 'd'", "a, b"),
    "parquet role": (("source=parquet", "source.path=data/x.parquet", "+source.roles.d=label"), "names 'd'", "a, b"),
    "bundled": (("source=adult", "+source.roles.incom=weight"), "source.roles names 'incom'", "'income'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_column_that_is_not_there_is_told_by_the_plan(root: Path, name: str) -> None:
    """At the line that names it, warm and cold; what the run would say is the same."""
    overrides, told, hint = WRONG[name]
    write(root, "data/x.csv")
    write(root, "data/twice.csv", "a,a\n1,2\n")
    write(root, "data/empty.csv", "")
    write(root, "data/long.csv", "x" * 200_000)
    chosen = (COLLECT, *(() if name == "bundled" else ("source=csv", "source.path=data/x.csv")), *overrides)
    pl.DataFrame({"a": [1], "b": [{"c": 1, "d": [2]}]}).write_parquet(root / "data/x.parquet")
    for _ in range(2):
        with pytest.raises(DiagnosticError) as caught:
            compile_plan(CompileRequest(root, chosen))
        (found,) = caught.value.diagnostics
        assert told in found.message and hint in found.hint and str(found.where) == "command line"
    compile_plan(CompileRequest(root, chosen, offline=True))


def test_what_was_read_already_is_not_looked_into_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, "data/x.csv")
    overrides = ("source=csv", "source.path=data/x.csv")
    looked: list[object] = []
    monkeypatch.setattr("mldlc.data.plan_check.check", lambda params, paths: looked.append(paths) or [])
    source(root, *overrides)
    assert len(looked) == 1


def test_files_and_a_version_are_one_too_many(root: Path) -> None:
    wrong = ("source=python", "source.target=own.rows:read", "source.files=[a]", "source.version='2'")
    with pytest.raises(DiagnosticError, match="not both"):
        source(root, *wrong)
