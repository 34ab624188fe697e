"""The points of a sweep for a person, as CSV, and as JSON: three views of one table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from mldlc.cli.views.style import duration, number_text, paint
from mldlc.loop.sweeps import PointRow, Sweep
from mldlc.plan.codec import flatten
from mldlc.plan.label import arguments_of

MOST = 40  # rows that a person is shown; scripts get all


def lines(sweep: Sweep, colour: bool = False, most: int = MOST) -> list[str]:
    """The table, the best point marked; of a long sweep the best points."""
    keys = sweep.keys()
    part, _, name = sweep.by.partition(" ")
    scores = [part, "test"] if part != "test" else [part]
    judged = [p for p in scores if sweep.by and any(_metric(row, p, name) is not None for row in sweep.rows)]
    ends = any(row.end for row in sweep.rows)
    head = ["", *keys, *(f"{p} {name}" for p in judged), "time", "ran", "reused", *(["end"] if ends else [])]
    shown = _shown(sweep, most)
    table = [head]
    for row in shown:
        table.append(
            [
                "*" if row.label == sweep.best else "",
                *(row.overrides.get(key, "-") for key in keys),
                *(_text(_metric(row, p, name)) for p in judged),
                duration(row.seconds) if row.ran else "-",
                str(row.ran),
                str(row.reused),
                *([row.end] if ends else []),
            ]
        )
    widths = [max(len(cells[i]) for cells in table) for i in range(len(head))]
    out = []
    for number, cells in enumerate(table):
        text = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        best = number > 0 and shown[number - 1].label == sweep.best
        out.append(paint(text, "dim" if number == 0 else "green" if best else "", colour))
    if len(shown) < len(sweep.rows):
        out.append(f"  {len(shown)} of {len(sweep.rows)} points; mldlc show --csv has all")
    if sweep.best:
        value = next((sweep.value(row) for row in sweep.rows if row.label == sweep.best), None)
        out.append(f"Best by {sweep.by}: {arguments_of(sweep.best)} ({_text(value)})")
    return out


def _shown(sweep: Sweep, most: int) -> list[PointRow]:
    """All points in order; of too many the best one, those that did not get to their end, and the first."""
    if len(sweep.rows) <= most:
        return list(sweep.rows)
    first = [row.label for row in sweep.rows if row.label == sweep.best or row.end][:most]
    chosen = set(first)
    chosen |= set([row.label for row in sweep.rows if row.label not in chosen][: most - len(chosen)])
    return [row for row in sweep.rows if row.label in chosen]


def _metric(row: PointRow, part: str, name: str) -> Any:
    found = row.metrics.get(part)
    return found.get(name) if isinstance(found, dict) else None


def _text(value: Any) -> str:
    return number_text(value) if isinstance(value, int | float) else "-"


def point(sweep: Sweep, row: PointRow) -> dict[str, Any]:
    """One point as JSON."""
    return {**asdict(row), "seconds": round(row.seconds, 3), "best": row.label == sweep.best}


def csv_text(sweep: Sweep) -> str:
    """Every point, one a line: its overrides, all metrics, time and reuse."""
    metrics = [_numbers(row.metrics) for row in sweep.rows]
    names = list(dict.fromkeys(name for found in metrics for name in found))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    keys = sweep.keys()
    writer.writerow([*keys, *names, "seconds", "ran", "reused", "end", "best"])
    for row, found in zip(sweep.rows, metrics, strict=True):
        own: Iterable[Any] = (row.overrides.get(key, "") for key in keys)
        writer.writerow([*own, *(found.get(name, "") for name in names), f"{row.seconds:.3f}", row.ran, row.reused,
                         row.end, int(row.label == sweep.best)])  # fmt: skip
    return out.getvalue()


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in flatten(metrics).items() if isinstance(v, int | float) and not isinstance(v, bool)}
