"""Bar charts: histograms, horizontal bars around zero, and the small pictures inside tables."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from mldlc.report.charts.scale import Linear, extent, tick_text, ticks
from mldlc.report.charts.svg import cut, el, path_of, svg, tip
from mldlc.report.charts.xy import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, axes, heading
from mldlc.report.numbers import number, percent

SPARK_WIDTH, SPARK_HEIGHT = 168, 44

Histogram = tuple[Sequence[float], Sequence[float]]
"""Edges (ascending, one more than counts) and counts."""


def histogram(title: str, x_label: str, edges: Sequence[float], counts: Sequence[float]) -> Markup:
    """Bars over intervals, 400 x 280 pixels; the height is the count."""
    right = Linear(edges[0], edges[-1], LEFT, WIDTH - RIGHT)
    left = Linear(0.0, max(counts, default=0.0) or 1.0, HEIGHT - BOTTOM, TOP)
    return svg(WIDTH, HEIGHT, title, heading(title), axes(right, left, x_label, "rows"),
               *_bars(edges, counts, right, left, 0))  # fmt: skip


def _bars(edges: Sequence[float], heights: Sequence[float], right: Linear, left: Linear, color: int,
          notes: Sequence[str] = ()) -> list[Markup]:  # fmt: skip
    parts = []
    for i, height in enumerate(heights):
        start, end, top = right(edges[i]), right(edges[i + 1]), left(height)
        note = notes[i] if notes else f"{number(edges[i])} to {number(edges[i + 1])}: {number(height)} rows"
        if height > 0:
            parts.append(el("rect", tip(note), x=start, y=top, width=max(end - start - 0.6, 0.6),
                            height=max(left.start - top, 0.5), class_=f"fill s{color}"))  # fmt: skip
    return parts


def spark(label: str, whole: Histogram | None, parts: Sequence[tuple[str, int, Histogram]] = ()) -> Markup:
    """A histogram of 168 x 44 pixels: the whole as grey bars, each part (name, colour, histogram) as a stepped outline.

    Heights are densities (share of rows per unit), so parts of unlike sizes lie on each other when they are alike.
    """
    every = ([whole] if whole else []) + [item for _, _, item in parts]
    low, high = extent(edge for edges, _ in every for edge in edges)
    top = max((value for item in every for value in density(item)), default=0.0) or 1.0
    right, left = Linear(low, high, 1, SPARK_WIDTH - 1), Linear(0.0, top, SPARK_HEIGHT - 13, 3)
    drawn: list[Markup] = []
    if whole:
        edges, counts = whole
        notes = [f"{number(edges[i])} to {number(edges[i + 1])}: {number(n)} rows" for i, n in enumerate(counts)]
        drawn += _bars(edges, density(whole), right, left, 9, notes)
    drawn += [
        el("path", tip(name), d=outline(item, right, left), class_=f"line thin s{color}") for name, color, item in parts
    ]
    base = left.start
    drawn.append(el("path", d=path_of([(0.0, base), (float(SPARK_WIDTH), base)]), class_="axis"))
    drawn.append(el("text", tick_text(float(f"{low:.3g}")), x=0.0, y=base + 11.0, class_="tick"))
    drawn.append(el("text", tick_text(float(f"{high:.3g}")), x=float(SPARK_WIDTH), y=base + 11.0, class_="tick",
                    text_anchor="end"))  # fmt: skip
    return svg(SPARK_WIDTH, SPARK_HEIGHT, label, *drawn, class_="spark")


def density(item: Histogram) -> list[float]:
    """Share of rows per unit of the axis, one value a bin; the bars' areas sum to 1."""
    edges, counts = item
    total = sum(counts) or 1
    return [n / total / width if (width := edges[i + 1] - edges[i]) > 0 else 0.0 for i, n in enumerate(counts)]


def outline(item: Histogram, right: Linear, left: Linear) -> str:
    """The stepped outline of a histogram of densities as path data."""
    points: list[tuple[float, float]] = [(right(item[0][0]), left.start)]
    for i, value in enumerate(density(item)):
        points += [(right(item[0][i]), left(value)), (right(item[0][i + 1]), left(value))]
    return path_of([*points, (right(item[0][-1]), left.start)])


def horizontal(title: str, x_label: str, rows: Sequence[tuple[str, float, str]]) -> Markup:
    """Bars from zero, one a row (name, value, tooltip), in the order given; 400 pixels wide."""
    name_width, line = 150, 22
    height = TOP - 8 + line * len(rows) + BOTTOM
    low, high = extent([0.0, *(value for _, value, _ in rows)])
    right = Linear(low, high, name_width, WIDTH - 52)
    base = float(TOP - 8 + line * len(rows))
    parts = [heading(title)]
    for value in ticks(low, high, 4):
        at = right(value)
        parts.append(el("path", d=path_of([(at, TOP - 8.0), (at, base)]), class_="grid"))
        parts.append(el("text", tick_text(value), x=at, y=base + 14, class_="tick", text_anchor="middle"))
    for i, (name, value, note) in enumerate(rows):
        top = TOP - 8.0 + line * i
        start, end = sorted((right(0.0), right(value)))
        parts.append(
            el("text", tip(name), cut(name, 24), x=name_width - 6.0, y=top + 15, class_="tick", text_anchor="end")
        )
        parts.append(el("rect", tip(note), x=start, y=top + 4, width=max(end - start, 1.0), height=line - 8.0, rx=1.5,
                        class_=f"fill s{0 if value >= 0 else 1}"))  # fmt: skip
        parts.append(el("text", number(value, 3), x=end + 4, y=top + 15, class_="tick"))
    parts.append(el("path", d=path_of([(right(0.0), TOP - 8.0), (right(0.0), base)]), class_="axis"))
    parts.append(
        el("text", x_label, x=(name_width + WIDTH - 52) / 2, y=base + 32, class_="label", text_anchor="middle")
    )
    return svg(WIDTH, height, title, *parts)


def shares(label: str, rows: Sequence[tuple[str, float, Sequence[tuple[str, int, float]]]]) -> Markup:
    """Bars of the most frequent values: (value, share, marks of parts (name, colour, share)); 168 pixels wide."""
    line = 15
    top = max([share for _, share, _ in rows] + [m[2] for _, _, marks in rows for m in marks], default=0.0) or 1.0
    right = Linear(0.0, top, 0, SPARK_WIDTH - 40)
    drawn: list[Markup] = []
    for i, (value, share, marks) in enumerate(rows):
        y = float(line * i)
        note = f"{value}: {percent(share)}" + "".join(f"; {name} {percent(s)}" for name, _, s in marks)
        bar = el("rect", x=0.0, y=y + 1, width=max(right(share), 1.0), height=line - 2.0, rx=1.5, class_="fill s9")
        ticks_ = [el("path", d=path_of([(right(s), y + line - 5), (right(s), y + line)]), class_=f"line thin s{c}")
                  for _, c, s in marks]  # fmt: skip
        text = el("text", cut(value, 20), x=4.0, y=y + 11, class_="tick strong")
        side = el("text", percent(share), x=float(SPARK_WIDTH), y=y + 11, class_="tick", text_anchor="end")
        drawn.append(el("g", tip(note), bar, *ticks_, text, side))
    return svg(SPARK_WIDTH, line * max(len(rows), 1), label, *drawn, class_="spark")
