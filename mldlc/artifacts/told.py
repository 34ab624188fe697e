"""What a model told of rows before it learnt them, as a table, and which rows of a stream it has learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table, write_table
from mldlc.plan.context import StepError


def write_told(out: Path, rows: np.ndarray, said: np.ndarray) -> None:
    """Write the table. rows: (n,) ascending row numbers; said: (n,) or (n, k) predictions, see `artifacts.model`."""
    block = said[:, None] if said.ndim == 1 else said
    columns = {f"prediction_{number}": block[:, number].astype(np.float64) for number in range(block.shape[1])}
    write_table(out, [("all", pl.DataFrame({"row": rows.astype(np.int64), **columns}))], roles={"row": "row_id"})


def read_told(table: Table) -> tuple[np.ndarray, np.ndarray]:
    """(rows, said) as they were written."""
    frame = table.load()
    block = frame.drop("row").to_numpy()
    return frame["row"].to_numpy(), block[:, 0] if block.shape[1] == 1 else block


def learnt_rows(card: Mapping[str, Any], split: Split) -> np.ndarray:
    """Ascending numbers of the rows that a model has learnt along a stream, as its card says.

    StepError when the parts of the split no longer begin with as many rows as there were.
    """
    found = [np.empty(0, np.int64)]
    for name, known in card.get("learnt", {}).get("parts", {}).items():
        rows = split.rows(name) if name in split.names else found[0]
        rows = rows[rows < known["end"]]
        if len(rows) != known["rows"]:
            raise StepError(
                f"the model has learnt {known['rows']} rows of part '{name}', of which there are {len(rows)} now",
                where="split", hint="add rows at the end, and cut by time: split.cuts, not shares",
            )  # fmt: skip
        found.append(rows)
    return np.sort(np.concatenate(found))


def learnt(card: Mapping[str, Any], split: Split, parts: Sequence[str], tick: str) -> dict[str, Any]:
    """What a card says after all rows of these parts: {"parts": {part: {rows, end}}, "tick": the time it answered}."""
    ends = {name: split.rows(name) for name in parts}
    now = {name: {"rows": len(rows), "end": int(rows[-1]) + 1} for name, rows in ends.items() if len(rows)}
    return {"parts": dict(card.get("learnt", {}).get("parts", {})) | now} | ({"tick": tick} if tick else {})
