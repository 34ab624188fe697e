"""Faulty CSV: the fast way tells the same line, column and count as the csv module, on files of every odd form."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from mldlc.data import csv_faults, csv_layout, csv_scan
from mldlc.data.csv_layout import survey
from mldlc.plan.context import StepError
from tests.data.steps import collect, option, rows
from tests.thorough import ALL

PLAIN = ["1", "2", "3.5", "x", "", " 7", "NA", "é", "2020-01-02", "true"]
QUOTED = ['"1"', '"x"', '"a,b"', '"l\nm"', '"a""b"', '""', '"\n\n5"', '""""']
ODD = ['a"b', '"a"b', '"l\n#m"', '"u\rv"', "r\rs", "#3", '"open']
LINES = ["", "# note", '# "quoted" note', '# it"s', " ", "\r"]


def source(**changes: Any) -> SimpleNamespace:
    given = {"separator": ",", "quote": '"', "comment": None, "encoding": "utf-8", "has_header": True}
    return SimpleNamespace(**{**given, "null_values": ["NA"], "columns": None, "extra": "error", **changes})


def columns(*types: str) -> dict[str, SimpleNamespace]:
    return {f"c{i}": SimpleNamespace(dtype=t, null_values=[], format=None) for i, t in enumerate(types)}


@st.composite
def files(draw: st.DrawFn, fields: list[str], lines: list[str], ragged: bool) -> tuple[bytes, int, bool]:
    """(bytes, columns, has_header)"""
    width = draw(st.integers(1, 4))
    header = draw(st.booleans())
    text = [",".join(f"c{i}" for i in range(width))] if header else []
    widths = st.integers(1, 5) if ragged and draw(st.booleans()) else st.just(width)
    for _ in range(draw(st.integers(0 if header else 1, 12))):
        count = draw(widths) if draw(st.integers(0, 5)) == 0 else width
        text.append(",".join(draw(st.sampled_from(fields)) for _ in range(count)))
        if lines and draw(st.integers(0, 4)) == 0:
            text.insert(draw(st.integers(0, len(text))), draw(st.sampled_from(lines)))
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    whole = newline.join(line.replace("\n", newline) for line in text)
    return (whole + draw(st.sampled_from(["", newline]))).encode(), width, header


def outcome(path: Path, source: Any, types: dict[str, Any]) -> tuple[str, ...] | list[tuple[Any, ...]]:
    """The rows that were read, or the words of the error."""
    out = path.with_name("out.arrow")
    try:
        csv_scan.read(path, source, types, out, path.parent)
        return pl.read_ipc(out.read_bytes()).rows()
    except StepError as error:
        return error.message, error.where, error.hint
    except csv.Error as error:  # a quote left open in a long file
        return (str(error),)


DTYPES = st.lists(
    st.sampled_from(["int64", "float64", "string", "string", "string", "date", "boolean"]), min_size=4, max_size=4
)


def both_ways(data: tuple[bytes, int, bool], dtypes: list[str], block: int, comment: str | None) -> None:
    content, width, header = data
    how, types = source(comment=comment, has_header=header), columns(*dtypes[:width])
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, patch.object(csv_layout, "BLOCK", block):
        path = Path(folder) / "x.csv"
        path.write_bytes(content)
        fast = outcome(path, how, types)
        event(f"layout: {survey(path, how, width) is not None}, {_kind(fast)}")
        with patch.object(csv_scan, "survey", no_survey), patch.object(csv_faults, "survey", no_survey):
            assert fast == outcome(path, how, types), content


def _kind(found: tuple[str, ...] | list[tuple[Any, ...]]) -> str:
    return "rows" if isinstance(found, list) else "width" if " fields, expected" in found[0] else "value or other error"


def no_survey(*_: Any) -> None:
    """Leaves everything to the csv module."""


@settings(max_examples=300 if ALL else 100, deadline=None)
@given(files(PLAIN + QUOTED, LINES[:1], True), DTYPES, st.integers(1, 80))
def test_the_fast_way_tells_what_the_csv_module_tells(
    data: tuple[bytes, int, bool], dtypes: list[str], block: int
) -> None:
    both_ways(data, dtypes, block, None)


@settings(max_examples=300 if ALL else 100, deadline=None)
@given(files(PLAIN + QUOTED + ODD, LINES, True), DTYPES, st.integers(1, 80), st.sampled_from([None, "#", "# "]))
def test_odd_files_are_left_to_the_csv_module(
    data: tuple[bytes, int, bool], dtypes: list[str], block: int, comment: str | None
) -> None:
    both_ways(data, dtypes, block, comment)


@settings(max_examples=200 if ALL else 80, deadline=None)
@given(files(PLAIN + QUOTED, LINES[:1], False), DTYPES, st.integers(1, 80))
def test_plain_files_never_need_the_csv_module_from_the_start(
    data: tuple[bytes, int, bool], dtypes: list[str], block: int
) -> None:
    content, width, header = data
    content = content.lstrip(b"\r\n")  # blank lines before the first row: Polars has its own mind about them
    assume(content and b"#" not in content)
    how, types = source(has_header=header), columns(*dtypes[:width])
    names = list(types)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, patch.object(csv_layout, "BLOCK", block):
        path = Path(folder) / "x.csv"
        path.write_bytes(content)
        layout = survey(path, how, width)
        assert layout is not None and layout.wrong == 0
        expected = csv_faults.by_lines(path, names, how, types)
        got = csv_faults.by_columns(path, names, how, types, csv_scan._scan(path, names, how, {}), layout)
        assert got == expected


def test_the_line_is_counted_from_a_mark_near_the_row(tmp_path: Path) -> None:
    body = "".join(f'{i},"two\nlines"\n' for i in range(5000)) + "\nbad,x\n"
    (tmp_path / "x.csv").write_text("c0,c1\n" + body)
    how, types = source(), columns("int64", "string")
    with patch.object(csv_layout, "BLOCK", 4096), patch.object(csv_faults, "rows", wraps=csv_faults.rows) as read:
        found = outcome(tmp_path / "x.csv", how, types)
    assert found[0] == "x.csv, line 10003, column 'c0': 'bad' is no int64 (the only one in the file)"
    ((_, _, offset, line), _) = read.call_args
    assert read.call_count == 1 and offset > len(body) - 8192 and line > 9000


@pytest.mark.parametrize("content", [b'c0\na"b\n', b'c0\n"a"b\n', b"c0\na\rb\n", b"\xef\xbb\xbfc0\n1\n", b"c0\n\xff\n"])
def test_files_on_which_readers_differ_have_no_layout(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    assert survey(tmp_path / "x.csv", source(), 1) is None
    (tmp_path / "x.csv").write_bytes(b"c0\n1\n")
    assert survey(tmp_path / "x.csv", source(), 1) == csv_layout.Layout(2, 0, 0, (0, 0), (csv_layout.Mark(0, 0, 0, 0),))


def test_a_rewritten_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    """Its bytes are UTF-8, whatever the encoding of the source; a field may begin with the comment mark."""
    (tmp_path / "x.csv").write_bytes('c0,c1\n"#Á",1\nb,\n'.encode("cp1252"))
    config = option("source", "csv", path=str(tmp_path / "x.csv"), encoding="cp1252", comment="#")
    assert rows(collect(config, tmp_path).outputs["table"]).rows() == [("#Á", 1), ("b", None)]


def test_a_second_file_with_another_column_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("price,n\n1,2\n")
    (tmp_path / "b.csv").write_text("prise,n\n1,2\n")
    with pytest.raises(StepError) as found:
        collect(option("source", "csv", path=str(tmp_path / "?.csv")), tmp_path)
    assert found.value.message == "b.csv has a column 'prise' that the first file has not"
    assert found.value.hint == "did you mean 'price'?"


def test_a_quoted_empty_number_is_null(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text('c0\n 1\n""\n')  # the space keeps the parser of numbers away
    assert outcome(tmp_path / "x.csv", source(), columns("int64")) == [(1,), (None,)]
