"""What a schema finds wrong, in words that say what would be right."""

from __future__ import annotations

from typing import Any

import pytest

from mldlc.compiler.validate import check
from mldlc.data.config.source import CsvSource
from mldlc.training.loop_config import LightningTrainer

CSV = {"kind": "csv", "path": "a.csv"}


@pytest.mark.parametrize(
    ("schema", "value", "path", "told", "hint"),
    [
        (CsvSource, CSV | {"columns": {"a": "int64"}}, "columns.a",
         "expected a mapping of dtype, role, null_values, format (found 'int64')", ""),
        (CsvSource, CSV | {"columns": {"a": {"dtype": "int"}}}, "columns.a.dtype", "'int' is not one of int8", "did you mean 'int8'?"),
        (CsvSource, CSV | {"columns": {"a": {}}}, "columns.a.dtype", "missing required key 'dtype'", ""),
        (CsvSource, CSV | {"seperator": ";"}, "seperator", "unknown key 'seperator'", "did you mean 'separator'?"),
        (CsvSource, 3, "", "expected a mapping of kind, path, separator", ""),
        (LightningTrainer, {"max_epochs": "ten"}, "max_epochs", "input should be a valid integer", ""),
    ],
)  # fmt: skip
def test_each_violation_names_key_found_and_allowed(schema: Any, value: Any, path: str, told: str, hint: str) -> None:
    valid, errors = check(schema, value)
    [error] = [error for error in errors if error.path == path]
    assert valid is None
    assert error.message.startswith(told) and error.hint == hint
