"""What a plan tells of an evaluation ahead of the training that it waits for: columns to slice by that are not there.

Light, and only as far as the cleaned table is known: before a first run of it, the stage itself tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mldlc.plan.advice import Advice, Outlook
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean


def advise(params: Mapping[str, Any], outlook: Outlook) -> Advice:
    """An error for the first column that the table of port `raw` does not have."""
    slices = params["slices"]
    manifest = outlook.read("raw", "manifest.json") if slices["kind"] == "columns" else None
    if manifest is None:
        return Advice()
    error = unknown_column(slices["columns"], [column["name"] for column in manifest["columns"]])
    return Advice(errors=(error,) if error is not None else ())


def unknown_column(wanted: Sequence[str | Sequence[str]], known: Sequence[str]) -> StepError | None:
    """What is wrong with these columns, or lists of columns to cross."""
    for name in (name for item in wanted for name in ([item] if isinstance(item, str) else item)):
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join(known)}"
            return StepError(f"the cleaned table has no column {name!r} to slice by", where="slices.columns", hint=hint)
    return None
