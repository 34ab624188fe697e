"""The data profile: one row a column, with a picture of its values and of how the parts of the split differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mldlc.report.charts.bars import Histogram, shares, spark
from mldlc.report.sections.documents import document, in_order, is_number, part_color, rows, section

SHOWN_VALUES = 4


def profile(artifact: Any) -> dict[str, Any] | None:
    """{rows, parts: [{name, rows, color}], columns: [...]}; a column has its facts and `picture`."""
    summary = document(artifact, "summary.json")
    columns = rows(summary, "columns")
    if not columns:
        return None
    parts = {name: item for name, item in section(summary, "parts").items() if isinstance(item, Mapping)}
    names = in_order(sorted(parts))
    by_part = {name: _columns_of(parts[name]) for name in names}
    total = summary.get("rows")
    return {
        "rows": total,
        "parts": [{"name": n, "rows": parts[n].get("rows"), "color": part_color(n)} for n in names],
        "columns": [_column(column, total, by_part) for column in columns],
    }


def _columns_of(part: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = part.get("columns", part)
    if isinstance(found, Mapping):
        return {str(name): item for name, item in found.items() if isinstance(item, Mapping)}
    return {str(item.get("name")): item for item in found}


def _column(column: Mapping[str, Any], total: Any, by_part: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    name = str(column.get("name"))
    missing = (column.get("nulls") or 0) + (column.get("nans") or 0)
    count = total or (column.get("count") or 0) + missing
    quantiles = {str(k): v for k, v in section(column, "quantiles").items()}
    versions = {part: columns[name] for part, columns in by_part.items() if name in columns}
    return {
        "name": name,
        "dtype": column.get("dtype", ""),
        "role": column.get("role") or "",
        "missing": missing,
        "missing_share": missing / count if count else None,
        "distinct": column.get("distinct"),
        "mean": column.get("mean"),
        "std": column.get("std"),
        "min": column.get("min"),
        "median": next((quantiles[k] for k in ("0.5", "0.50", "p50", "50", "median") if k in quantiles), None),
        "max": column.get("max"),
        "picture": _picture(name, column, versions),
    }


def _picture(name: str, column: Mapping[str, Any], versions: Mapping[str, Mapping[str, Any]]) -> Markup | None:
    whole = _histogram(column)
    parts = [(part, part_color(part), found) for part, item in versions.items() if (found := _histogram(item))]
    if whole or parts:
        return spark(f"Distribution of {name}", whole, parts)
    top = _top(column)
    if not top:
        return None
    count = _present(column) or sum(n for _, n in top)
    listed = []
    for value, n in top[:SHOWN_VALUES]:
        marks = []
        for part, item in versions.items():
            present, known = _present(item), dict(_top(item))
            if present and value in known:
                marks.append((part, part_color(part), known[value] / present))
        listed.append((value, n / count if count else 0.0, marks))
    return shares(f"Most frequent values of {name}", listed)


def _histogram(column: Mapping[str, Any]) -> Histogram | None:
    found = section(column, "histogram")
    edges, counts = found.get("edges") or [], found.get("counts") or []
    if len(edges) != len(counts) + 1 or not counts or not all(is_number(v) for v in [*edges, *counts]):
        return None
    return (edges, counts) if edges[-1] > edges[0] else None


def _top(column: Mapping[str, Any]) -> list[tuple[str, float]]:
    found: Sequence[Any] = column.get("top") or []
    return [(str(item[0]), item[1]) for item in found if isinstance(item, list | tuple) and is_number(item[1])]


def _present(column: Mapping[str, Any]) -> float:
    """Rows with a value: `count` is of those that are neither null nor NaN."""
    return float(column.get("count") or 0)
