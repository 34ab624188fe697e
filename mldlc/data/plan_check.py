"""What a plan can tell of a source without reading its rows: the columns that the config names, against the files'.

Light: a header is read by the csv module, the names of a Parquet file from its footer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mldlc.data import csv_lines
from mldlc.data.parquet_names import column_names
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

MOST_FILES = 20  # of a source that are opened; a run tells the rest


def check(params: Mapping[str, Any], paths: Sequence[str]) -> list[StepError]:
    """What `collect` would stop at, by the names of the columns alone; at most one a file, and the roles."""
    source = SimpleNamespace(**params["source"])
    found: list[StepError] = []
    names: list[str] = []
    for path in map(Path, paths[:MOST_FILES] if source.kind in READ else ()):
        try:
            names = READ[source.kind](path, source)
        except StepError as error:
            found.append(error)
        except (OSError, UnicodeError):
            return []  # the run says it better
        if not names:
            return found
        if not found:
            found += [_unknown(name, names) for name in source.roles if name not in names]
    return found


def _csv(path: Path, source: Any) -> list[str]:
    names = csv_lines.header(path, source)
    if source.columns is None:
        return names
    csv_lines.match_columns(path, names, source)
    return list(source.columns)


def _parquet(path: Path, source: Any) -> list[str]:
    there = column_names(path)
    for name in getattr(source, "columns", None) or () if there else ():
        if name not in there:
            hint = did_you_mean(name, there) or f"it has: {', '.join(there)}"
            raise StepError(f"{path.name} has no column '{name}'", where="source.columns", hint=hint)
    return list(getattr(source, "columns", None) or there) if there else []


def _unknown(name: str, names: Sequence[str]) -> StepError:
    hint = did_you_mean(name, names) or f"columns: {', '.join(names)}"
    return StepError(f"source.roles names '{name}', which is no column", where=f"source.roles.{name}", hint=hint)


READ = {"csv": _csv, "parquet": _parquet, "bundled": _parquet}
