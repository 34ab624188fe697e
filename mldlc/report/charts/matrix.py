"""The confusion matrix: counts, with the share of each true class as the shade."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mldlc.report.charts.svg import cut, el, svg, tip
from mldlc.report.charts.xy import WIDTH, heading
from mldlc.report.numbers import number, percent

LEFT, TOP = 96, 48


def confusion(title: str, labels: Sequence[str], matrix: Sequence[Sequence[float]]) -> Markup:
    """Rows are the true classes, columns the predicted ones; 400 pixels wide. Raises ValueError if it is not square."""
    size = len(labels)
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ValueError(f"{size} labels for a confusion matrix of {len(matrix)} rows")
    cell_width = (WIDTH - LEFT - 6) / max(size, 1)
    cell = min(cell_width, 84.0)
    parts = [heading(title)]
    parts.append(el("text", "predicted", x=LEFT + cell_width * size / 2, y=30.0, class_="label", text_anchor="middle"))
    for j, label in enumerate(labels):
        at = LEFT + cell_width * (j + 0.5)
        parts.append(el("text", tip(label), cut(label, max(int(cell_width / 6), 2)), x=at, y=43.0, class_="tick",
                        text_anchor="middle"))  # fmt: skip
        parts.append(el("text", tip(label), cut(label, 13), x=LEFT - 6.0, y=TOP + cell * (j + 0.5) + 3.5, class_="tick",
                        text_anchor="end"))  # fmt: skip
    for i, row in enumerate(matrix):
        total = sum(row)
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            note = f"true {labels[i]}, predicted {labels[j]}: {number(count)} rows, {percent(share)} of the true class"
            x, y = LEFT + cell_width * j, TOP + cell * i
            rect = el("rect", x=x + 1, y=y + 1, width=cell_width - 2, height=cell - 2, rx=2.0,
                      class_=f"fill s{0 if i == j else 1}", fill_opacity=round(0.08 + 0.8 * share, 3))  # fmt: skip
            drawn = [tip(note), rect]
            if size <= 8:
                strong = "on" if share > 0.75 else ""
                middle = x + cell_width / 2
                drawn.append(el("text", number(count), x=middle, y=y + cell / 2, class_=f"cell {strong}".strip(),
                                text_anchor="middle"))  # fmt: skip
                drawn.append(el("text", percent(share), x=middle, y=y + cell / 2 + 15, class_=f"tick {strong}".strip(),
                                text_anchor="middle"))  # fmt: skip
            parts.append(el("g", *drawn))
    return svg(WIDTH, TOP + cell * size + 6, title, *parts)
