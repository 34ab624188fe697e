"""clean: each rule on a small frame, counts, bytes of an untouched partition, errors as text."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mldlc.artifacts.load import typed
from mldlc.data import spec
from mldlc.plan.context import StepError
from tests.data.steps import option, rows, step, table

FRAME = pl.DataFrame(
    {
        "name": [" a", "b ", "n/a", "d", None],
        "size": ["1", "2", "", "4", "x"],
        "price": [-1.0, 2.0, 300.0, None, 5.0],
        "day": [datetime.date(2020, 1, d) for d in range(1, 6)],
        "y": ["no", "yes", None, "no", "yes"],
    }
)


def cleaned(folder: Path, **changes: Any) -> Any:
    made = table(folder, FRAME, {"y": "label"})
    return step(spec.CLEAN, option("clean", "rules", **changes), folder, table=made)


def test_rules_apply_in_order_and_are_counted(tmp_path: Path) -> None:
    run = cleaned(
        tmp_path, drop_columns=["day"], rename={"price": "cost"}, null_values=["n/a", "x", ""], cast={"size": "int32"},
        clip={"cost": {"low": 0.0, "high": 100}}, drop_rows=[{"column": "size", "op": ">=", "value": 4}],
    )  # fmt: skip
    assert rows(run.outputs["table"]).rows() == [("a", 1, 0.0, "no"), ("b", 2, 2.0, "yes"), (None, None, 5.0, "yes")]
    assert typed(run.outputs["table"]).column("y").role == "label"
    assert [c.dtype for c in typed(run.outputs["table"]).columns] == ["String", "Int32", "Float64", "String"]
    assert run.summary == {
        "rows_in": 5, "rows_out": 3, "strip.name": 2, "null.name": 1, "null.size": 2, "clip.cost": 2, "drop_rows.0": 1,
        "drop_null_label": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("test", "kept"),
    [
        ({"column": "name", "op": "==", "value": "d"}, [1, 2, 3, 5]),
        ({"column": "name", "op": "!=", "value": "d"}, [4, 5]),
        ({"column": "price", "op": "<", "value": 2}, [2, 3, 4, 5]),
        ({"column": "price", "op": "<=", "value": 2}, [3, 4, 5]),
        ({"column": "price", "op": ">", "value": 2}, [1, 2, 4]),
        ({"column": "name", "op": "in", "value": ["a", "b"]}, [3, 4, 5]),
        ({"column": "name", "op": "not_in", "value": ["a", "b"]}, [1, 2, 5]),
        ({"column": "name", "op": "is_null"}, [1, 2, 3, 4]),
        ({"column": "name", "op": "is_not_null"}, [5]),
        ({"column": "day", "op": ">=", "value": "2020-01-03"}, [1, 2]),
    ],
)
def test_predicates_drop_what_they_say_and_null_meets_is_null_only(test: Any, kept: list[int], tmp_path: Path) -> None:
    run = cleaned(tmp_path, drop_rows=[test], drop_null_label=False)
    assert rows(run.outputs["table"])["day"].dt.day().to_list() == kept


def test_an_untouched_partition_keeps_its_bytes(tmp_path: Path) -> None:
    frames = [pl.DataFrame({"s": ["a", "b"]}), pl.DataFrame({"s": ["a", " b"]})]
    made = table(tmp_path, frames)
    run = step(spec.CLEAN, option("clean", "rules"), tmp_path, table=made)
    same = [run.outputs["table"].file(f).read_bytes() == made.file(f).read_bytes() for f in sorted(made.files)[1:]]
    assert same == [True, False]
    none = step(spec.CLEAN, option("clean", "none"), tmp_path / "none", table=made)
    assert none.digest("table") == made.digest


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        (
            {"cast": {"size": "int64"}},
            "p0, row 3 (counted from 1), column 'size': '' is no int64 (2 such values)",
            "clean.null_values",
        ),
        ({"drop_columns": ["prize"]}, "clean.drop_columns names 'prize', which is no column", "did you mean 'price'?"),
        ({"rename": {"day": "y"}}, "two columns would be called 'y'", ""),
        ({"drop_rows": [{"column": "price", "op": ">=", "value": -5}], "clip": {}, "null_values": []}, None, None),
        ({"drop_rows": [{"column": "name", "op": "==", "value": 3}]}, "column 'name' is text, the value 3 is not", ""),
        ({"drop_rows": [{"column": "price", "op": ">", "value": "3"}]}, "column 'price' is Float64, the value '3'", ""),
        ({"drop_rows": [{"column": "price", "op": "in", "value": 3}]}, "'in' on column 'price' takes a list", ""),
        ({"clip": {"name": {"low": 0, "high": 1}}}, "a rule does not fit its column", ""),
    ],
)
def test_mistakes_are_told(changes: Any, message: str | None, hint: str | None, tmp_path: Path) -> None:
    if message is None:  # the one row that is left has no price
        assert rows(cleaned(tmp_path, **changes).outputs["table"])["name"].to_list() == ["d"]
        return
    with pytest.raises(StepError) as found:
        cleaned(tmp_path, **changes)
    assert message in found.value.message and hint is not None and hint in found.value.hint


def test_dropping_every_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cleaning dropped every row") as found:
        cleaned(tmp_path, drop_rows=[{"column": "day", "op": ">", "value": "1999-01-01"}])
    assert "drop_rows.0: 5" in found.value.hint
