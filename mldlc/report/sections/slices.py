"""The slices: how far the metric of each group of rows is from that of all rows, worst first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldlc.report.numbers import words
from mldlc.report.sections.documents import is_number, rows, section
from mldlc.report.sections.metrics import higher_is_better

MOST = 200
"Slices beyond so many are counted, not shown: the page stays small."


def slices(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """{metric, others, rows, left_out}; a row: part, name, rows, value, delta, others, bar (share, side)."""
    found = rows(document, "slices")
    if not found:
        return None
    metric = _metric(document, found)
    higher = higher_is_better(document, metric) is not False
    others = [m for m in ("accuracy", "f1", "recall", "precision", "mae", "r2", "rmse", "log_loss")
              if m != metric and any(is_number(section(row, "metrics").get(m)) for row in found)][:3]  # fmt: skip
    table = []
    for row in found:
        delta = section(row, "delta").get(metric)
        worse = None if not is_number(delta) else (-delta if higher else delta)
        name = row.get("slice") or f"{row.get('column')}={row.get('value')}"
        measured = section(row, "metrics")
        table.append(
            {
                "part": row.get("part", ""),
                "name": name,
                "rows": row.get("rows"),
                "delta": delta,
                "worse": worse,
                "value": measured.get(metric),
                "others": [measured.get(m) for m in others],
            }
        )
    table.sort(key=lambda r: (r["worse"] is None, -(r["worse"] or 0.0)))
    longest = max((abs(r["worse"]) for r in table if r["worse"] is not None), default=0.0) or 1.0
    for r in table:
        r["bar"] = None if r["worse"] is None else round(46 * abs(r["worse"]) / longest, 2)
    return {
        "metric": words(metric),
        "higher": higher,
        "others": [words(m) for m in others],
        "rows": table[:MOST],
        "left_out": max(0, len(table) - MOST),
        "overall": {
            p: section(section(document, "parts"), p).get(metric) for p in dict.fromkeys(r["part"] for r in table)
        },
    }


def _metric(document: Mapping[str, Any], found: list[dict[str, Any]]) -> str:
    """The primary metric, else the first that any slice knows a difference of."""
    known = list(dict.fromkeys(m for row in found for m, v in section(row, "delta").items() if is_number(v)))
    primary = str(document.get("primary") or "")
    wanted = [primary, "auroc", "accuracy", "rmse", *known]
    return next((m for m in wanted if m in known), primary)
