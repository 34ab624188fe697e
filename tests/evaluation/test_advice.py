"""A plan tells of columns to slice by that are not there, as soon as the cleaned table is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from mldlc.evaluation.advice import advise


@dataclass
class Seen:
    """An outlook of a cleaned table with some columns; None: it is not made yet."""

    columns: list[str] | None
    sizes: dict[str, int | None] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def read(self, port: str, name: str) -> Any:
        assert (port, name) == ("raw", "manifest.json")
        return self.columns and {"columns": [{"name": column} for column in self.columns]}

    def ask(self, function: str, question: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError("columns are read")


@pytest.mark.parametrize(
    ("kind", "wanted", "told"),
    [
        ("columns", ["sex", ["race", "agee"]], "no column 'agee'"),
        ("columns", ["sex", ["race", "age"]], ""),
        ("columns", [], ""),
        ("auto", None, ""),
    ],
)
def test_unknown_columns_are_errors_of_the_plan(kind: str, wanted: Any, told: str) -> None:
    params = {"slices": {"kind": kind} | ({"columns": wanted} if wanted is not None else {})}
    found = advise(params, Seen(["sex", "race", "age"])).errors
    assert [told in error.message for error in found] == ([True] if told else [])
    assert all(error.where == "slices.columns" and "'age'" in error.hint for error in found)
    assert advise(params, Seen(None)).errors == ()
