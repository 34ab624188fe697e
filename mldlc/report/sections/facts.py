"""Facts of any shape (expectations, decisions, studies) as blocks for the page, with a chart where one fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from mldlc.report.charts.bars import horizontal
from mldlc.report.numbers import number, words
from mldlc.report.sections.documents import document, is_number

NAMES = ("column", "feature", "input", "name", "rule", "sd")
VALUES = ("importance", "drop", "mean_absolute_change", "spread", "score", "mean")
LEAD = (*NAMES, "row", "decile", "value", "label")
TITLE = 46
HIDDEN = ("format", "items")
BARS = 20
ROWS = 60
LISTED = 60


def facts(artifact: Any, name: str) -> dict[str, Any] | None:
    """{charts, blocks}: what `name` of the artifact holds; None without it, and when the step was left out."""
    return arranged(document(artifact, name))


def arranged(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """The charts first, then the other blocks in the document's order."""
    if found.get("kind") == "none":
        return None
    blocks = tree(found, "")
    charts = [block["picture"] for block in blocks if block["kind"] == "chart"]
    return {"charts": charts, "blocks": [b for b in blocks if b["kind"] != "chart"]} if blocks else None


def tree(value: Any, title: str, depth: int = 0) -> list[dict[str, Any]]:
    """Blocks {kind: pairs | table | chart | title, title, depth, ...} of a JSON value, in its order."""
    if isinstance(value, Mapping):
        plain = [
            (words(k), _text(v)) for k, v in value.items() if k not in HIDDEN and not _nested(v) and v not in ([], {})
        ]
        blocks: list[dict[str, Any]] = []
        if plain:
            blocks.append({"kind": "pairs", "title": title, "depth": depth, "pairs": plain})
        elif title:
            blocks.append({"kind": "title", "title": title, "depth": depth})
        even = _even(value)
        if even:
            return [*blocks[:-1], *_table(even, title, depth)] if not plain else [*blocks, *_table(even, "", depth)]
        for key, item in value.items():
            if _nested(item):
                blocks += tree(item, "" if key in HIDDEN else words(key), depth + 1)
        return blocks
    if isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
        return _table([dict(item) for item in value], title, depth)
    if isinstance(value, list | tuple) and value:
        pairs = [(str(i + 1), _text(v)) for i, v in enumerate(value[:ROWS])]
        return [{"kind": "pairs", "title": title, "depth": depth, "pairs": pairs}]
    return []


def _even(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Objects of one shape by name, as rows: {"a": {"x": 1}, "b": {"x": 2}} -> [{"name": "a", "x": 1}, ...]."""
    inner = [item for item in value.values() if _nested(item)]
    if len(inner) < 2 or not all(isinstance(item, Mapping) and item for item in inner):
        return []
    keys = set(inner[0])
    if any(set(item) != keys or any(_nested(v) for v in item.values()) for item in inner):
        return []
    return [{"name": key, **item} for key, item in value.items() if _nested(item)]


def _table(found: list[dict[str, Any]], title: str, depth: int) -> list[dict[str, Any]]:
    keys = [k for k in dict.fromkeys(k for row in found for k in row) if k not in HIDDEN]
    keys.sort(key=lambda k: LEAD.index(k) if k in LEAD else len(LEAD))
    blocks: list[dict[str, Any]] = []
    chart = bars(found, title)
    if chart is not None:
        blocks.append({"kind": "chart", "title": "", "depth": depth, "picture": chart})
    cells = [[_cell(row.get(k)) for k in keys] for row in found[:ROWS]]
    head = [{"name": words(k), "num": any(is_number(row.get(k)) for row in found)} for k in keys]
    blocks.append({"kind": "table", "title": title, "depth": depth, "head": head, "rows": cells,
                   "left_out": max(0, len(found) - ROWS), "folded": chart is not None})  # fmt: skip
    return blocks


def bars(found: list[dict[str, Any]], title: str) -> Markup | None:
    """A bar chart of the first measured key of named rows, largest first; None when there is none."""
    name = next((k for k in NAMES if all(k in row and not _nested(row[k]) for row in found)), None)
    value = next((k for k in VALUES if sum(is_number(row.get(k)) for row in found) >= 2), None)
    if name is None or value is None:
        return None
    known = [(str(row[name]), float(row[value])) for row in found if is_number(row.get(value))]
    if not all(is_number(row[name]) for row in found):
        known.sort(key=lambda item: -abs(item[1]))
    rows = [(n, v, f"{n}: {words(value)} {number(v)}") for n, v in known[:BARS]]
    named = title or words(value)
    whole = f"{named} by {words(name)}" if value == "mean" or not title else f"{title}: {words(value)} by {words(name)}"
    shown = whole if len(whole) <= TITLE else title
    return horizontal(shown[:1].upper() + shown[1:], words(value), rows)


def _nested(value: Any) -> bool:
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value)


def _cell(value: Any) -> dict[str, Any]:
    return {"text": _text(value), "number": value if is_number(value) else None}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {_text(v)}" for k, v in value.items()) or "–"
    if isinstance(value, list | tuple):
        shown = ", ".join(_text(v) for v in value[:LISTED])
        return (shown + (f", … ({len(value)} in all)" if len(value) > LISTED else "")) or "none"
    return number(value) if not isinstance(value, str) else (value or "–")
