"""collect: real files against independent readers, every source kind, and the errors of a wrong file as text."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mldlc.artifacts.load import typed
from mldlc.plan.context import StepError, TransientError
from tests.data.build_bundled import RAW, raw_frame, write
from tests.data.steps import collect, option, rows
from tests.shared_data import shared
from tests.step_harness import StepRun


def error(config: dict, folder: Path) -> StepError:
    """The StepError that collecting gives."""
    with pytest.raises(StepError) as found:
        collect(config, folder)
    return found.value


def columns(**types: str) -> dict:
    return {
        name: {"dtype": dtype, "role": "feature", "null_values": [], "format": None} for name, dtype in types.items()
    }


@pytest.mark.parametrize("name", ["adult", "housing"])
def test_raw_csv_equals_the_bundled_rows_and_an_independent_reader(name: str, tmp_path: Path) -> None:
    raw = shared(RAW[name])
    made = collect(option("source", f"{name}_csv", path=str(raw)), tmp_path / "csv")
    bundled = collect(option("source", name), tmp_path / "bundled")
    frame = rows(made.outputs["table"])
    assert_frame_equal(frame, raw_frame(name))
    assert_frame_equal(frame, rows(bundled.outputs["table"]))
    with raw.open(newline="") as file:
        lines = [[field.strip() for field in line] for line in csv.reader(file) if line]
    lines = lines[1:] if name == "housing" else lines
    assert frame.height == len(lines) == {"adult": 32_561, "housing": 20_640}[name]
    for at in range(0, len(lines), 997):
        for value, text in zip(frame.row(at), lines[at], strict=True):
            assert (text in ("?", "")) if value is None else (str(value) == text or float(value) == float(text))


@pytest.mark.parametrize("name", ["adult", "housing", "digits", "tinyshakespeare", "elec"])
def test_bundled_files_are_what_the_script_makes(name: str, tmp_path: Path) -> None:
    if name != "digits":
        shared({**RAW, "elec": "elec.csv"}.get(name, f"{name}.txt"))
    shipped = Path(__file__).resolve().parents[2] / "mldlc" / "data" / "bundled" / f"{name}.parquet"
    assert write(name, tmp_path).read_bytes() == shipped.read_bytes()


def test_roles_reach_the_manifest(tmp_path: Path) -> None:
    made = typed(collect(option("source", "adult"), tmp_path).outputs["table"])
    assert [c.name for c in made.role("label")] == ["income"]
    assert len(made.role("feature")) == 14


def test_glob_gives_one_partition_a_file_in_sorted_order(tmp_path: Path) -> None:
    for name, value in (("b", 2), ("a", 1), ("c", 3)):
        (tmp_path / f"{name}.csv").write_text(f"x,y\n{value},u\n")
    made = typed(collect(option("source", "csv", path=str(tmp_path / "*.csv")), tmp_path / "run").outputs["table"])
    assert [p.name for p in made.partitions] == ["a.csv", "b.csv", "c.csv"]
    assert made.load()["x"].to_list() == [1, 2, 3]


def test_equal_file_names_are_told_apart_by_folder(tmp_path: Path) -> None:
    for day in ("d1", "d2"):
        (tmp_path / day).mkdir()
        pl.DataFrame({"x": [1]}).write_parquet(tmp_path / day / "part.parquet")
    made = collect(option("source", "parquet", path=str(tmp_path / "*" / "part.parquet")), tmp_path / "run")
    assert [p.name for p in typed(made.outputs["table"]).partitions] == ["d1/part.parquet", "d2/part.parquet"]


def test_parquet_and_csv_of_the_same_frame_give_the_same_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"i": [1, None, 3], "f": [0.5, 1e300, None], "s": ["a", None, 'ü, "q"'], "b": [True, None, False]}
    )
    frame.write_parquet(tmp_path / "x.parquet")
    frame.write_csv(tmp_path / "x.csv")
    declared = columns(i="int64", f="float64", s="string", b="boolean")
    one = collect(option("source", "parquet", path=str(tmp_path / "x.parquet")), tmp_path / "p")
    two = collect(option("source", "csv", path=str(tmp_path / "x.csv"), columns=declared), tmp_path / "c")
    read = [run.outputs["table"].file("part-00000.arrow").read_bytes() for run in (one, two)]
    assert read[0] == read[1]


def test_types_are_inferred_where_none_are_declared(tmp_path: Path) -> None:
    text = (
        "i,f,s,d,t,b\n1,1.5,x,2020-01-02,2020-01-02 03:04:05,true\n,,,,,\n2,3,y,2021-01-01,2021-01-01T00:00:00,false\n"
    )
    (tmp_path / "x.csv").write_text(text)
    made = rows(collect(option("source", "csv", path=str(tmp_path / "x.csv")), tmp_path).outputs["table"])
    assert made.dtypes == [pl.Int64, pl.Float64, pl.String, pl.Date, pl.Datetime("us"), pl.Boolean]
    assert made.null_count().row(0) == (1,) * 6


MIXED = {  # column -> values, and what is told of them; "" reads as text
    "one of a hundred": ([*map(str, range(120)), "12a"], "line 122, column 'x': '12a' is no number, as 120 of its 121"),
    "a marker": ([*"12345", "?", *"67", "?"], "line 7, column 'x': '?' is no number, as 7 of its 9 values are"),
    "dates": (["2020-01-01", "2020-01-02", "soon"], "'soon' is no date, as 2 of its 3 values are"),
    "codes": (["1", "2", "3a", "4b", "5", "6"], ""),
    "words": (["1", "a", "a", "a"], ""),
    "booleans": (["true", "false", "1"], ""),
}


@pytest.mark.parametrize("name", MIXED)
def test_numbers_with_something_else_among_them_are_told(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    values, told = MIXED[name]
    path = tmp_path / "x.csv"
    path.write_text("x,y\n" + "".join(f"{value},{number}\n" for number, value in enumerate(values)))

    def read(how: str, **changes: object) -> StepRun:
        return collect(option("source", "csv", path=str(path), on_mixed=how, **changes), tmp_path / how)

    assert rows(read("text").outputs["table"])["x"].to_list() == values
    if not told:
        assert rows(read("error").outputs["table"])["x"].to_list() == values
        return
    found = error(option("source", "csv", path=str(path)), tmp_path / "error")
    assert told in found.message and "source.on_mixed=text" in found.hint and found.where.startswith(f"{path}:")
    assert rows(read("warn").outputs["table"])["x"].to_list() == values
    (said,) = caplog.messages
    assert told in said and "read as text" in said
    others = sorted({value for value in values if f"'{value}'" in found.message + found.hint})
    assert rows(read("error", null_values=others).outputs["table"])["x"].dtype != pl.String


def test_quirks_that_polars_alone_reads_wrong(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes('# made by hand\nn, s\n1, "a, b"\n\n2, é\n'.encode("latin-1"))
    config = option(
        "source", "csv", path=str(tmp_path / "x.csv"), separator=", ", comment="#", encoding="latin-1",
        columns=columns(n="int64", s="string"),
    )  # fmt: skip
    made = rows(collect(config, tmp_path).outputs["table"])
    assert made.rows() == [(1, "a, b"), (2, "é")]


def test_a_python_source_is_called_with_its_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_source.py").write_text(
        "import polars as pl\ndef read(n):\n    return pl.DataFrame({'x': range(n)})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    made = collect(option("source", "python", target="own_source:read", args={"n": 3}), tmp_path)
    assert rows(made.outputs["table"])["x"].to_list() == [0, 1, 2]
    (tmp_path / "own_bad.py").write_text("def read():\n    return [1]\n")
    found = error(option("source", "python", target="own_bad:read"), tmp_path / "bad")
    assert found.message == "'own_bad:read' gave builtins.list, expected a polars DataFrame or LazyFrame"


def test_a_python_source_gets_the_files_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name * 3)
    (tmp_path / "own_files.py").write_text(
        "import polars as pl\nfrom pathlib import Path\n"
        "def read(files):\n    return pl.DataFrame({'x': [Path(f).read_text() for f in files]})\n"
        "def alone():\n    return pl.read_csv('data/absent.csv')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = option("source", "python", target="own_files:read", files=[str(tmp_path / "[ab].txt")])
    assert rows(collect(config, tmp_path).outputs["table"])["x"].to_list() == ["aaa", "bbb"]
    found = error(option("source", "python", target="own_files:alone"), tmp_path / "bad")
    assert "absent.csv" in found.message and "source.files" in found.hint


def test_a_wrong_value_is_named_by_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('a,b\n1,"two\nlines"\n2,ok\nthree,ok\nfour,ok\n')
    found = error(
        option("source", "csv", path=str(tmp_path / "x.csv"), columns=columns(a="int64", b="string")), tmp_path
    )
    assert found.message == "x.csv, line 5, column 'a': 'three' is no int64 (2 such values in the file)"
    assert found.where.endswith("x.csv:5")
    assert "source.columns.a.null_values" in found.hint


@pytest.mark.parametrize(
    ("dtype", "value", "words"),
    [
        ("int8", "300", "'300' is no int8"),
        ("float64", "1,5", "line 2: 3 fields, expected 2"),
        ("boolean", "maybe", "'maybe' is no boolean (true, false, 1 or 0)"),
        ("date", "01.02.2020", "'01.02.2020' is no date (ISO 8601)"),
        ("datetime", "noon", "'noon' is no datetime (ISO 8601)"),
    ],
)
def test_every_type_refuses_what_it_cannot_hold(dtype: str, value: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"a,b\n{value},z\n")
    config = option("source", "csv", path=str(tmp_path / "x.csv"), columns=columns(a=dtype, b="string"))
    assert words in error(config, tmp_path).message


def test_a_short_row_is_not_taken_for_nulls(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,x\n2\n3,z\n")
    found = error(
        option("source", "csv", path=str(tmp_path / "x.csv"), columns=columns(a="int64", b="string")), tmp_path
    )
    assert found.message == "x.csv, line 3: 1 fields, expected 2 (the only one in the file)"


def test_missing_and_extra_columns_name_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("price,size\n1,2\n")
    path = str(tmp_path / "x.csv")
    found = error(option("source", "csv", path=path, columns=columns(prise="int64", size="int64")), tmp_path / "a")
    assert (found.message, found.hint) == ("x.csv has no column 'prise'", "did you mean 'price'?")
    found = error(option("source", "csv", path=path, columns=columns(size="int64")), tmp_path / "b")
    assert found.message == "x.csv has a column 'price' that source.columns does not declare"
    made = collect(option("source", "csv", path=path, columns=columns(size="int64"), extra="drop"), tmp_path / "c")
    assert rows(made.outputs["table"]).columns == ["size"]


def test_other_mistakes_are_told_plainly(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("a\n1\n")
    found = error(option("source", "csv", path=str(tmp_path / "date.csv")), tmp_path / "a")
    assert found.message == f"no file {tmp_path / 'date.csv'}" and found.hint == "did you mean 'data.csv'?"
    (tmp_path / "empty.csv").write_text("")
    assert (
        error(option("source", "csv", path=str(tmp_path / "empty.csv")), tmp_path / "b").message
        == "empty.csv has no rows"
    )
    (tmp_path / "x.parquet").write_text("no parquet")
    found = error(option("source", "parquet", path=str(tmp_path / "x.parquet")), tmp_path / "c")
    assert found.message.startswith("x.parquet cannot be read as Parquet")
    found = error(option("source", "adult", roles={"incom": "label"}), tmp_path / "d")
    assert found.hint == "did you mean 'income'?"
    (tmp_path / "latin.csv").write_bytes(b"a,b\n1,\xe9\n")
    found = error(option("source", "csv", path=str(tmp_path / "latin.csv")), tmp_path / "e")
    assert "is not utf-8" in found.message and "source.encoding" in found.hint
    for name, value in (("p1", 1), ("p2", "x")):
        pl.DataFrame({"v": [value]}).write_parquet(tmp_path / f"{name}.parquet")
    found = error(option("source", "parquet", path=str(tmp_path / "p?.parquet")), tmp_path / "f")
    assert found.message == "column 'v' is String in p2.parquet and Int64 in p1.parquet"


def test_a_file_that_moves_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a\n1\n")
    (tmp_path / "moving.py").write_text(
        "from mldlc.data import collect\nreal = collect._names\n"
        f"def names(paths):\n    open({str(path)!r}, 'a').write('2\\n')\n    return real(paths)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import moving  # type: ignore[import-not-found]

    monkeypatch.setattr("mldlc.data.collect._names", moving.names)
    with pytest.raises(TransientError, match="changed while it was read"):
        collect(option("source", "csv", path=str(path)), tmp_path / "run")
