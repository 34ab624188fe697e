"""Line charts: axes, grid, ticks, labels, a legend, and points that tell their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from mldlc.report.charts.scale import Linear, extent, tick_text, ticks
from mldlc.report.charts.svg import cut, el, path_of, svg, tip
from mldlc.report.numbers import number

WIDTH, HEIGHT = 400, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 34, 44
MARKED = 60
"Lines of at most so many points show each point."

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One line. color: 0..5, a class of the style sheet. notes: one tooltip a point, or none."""

    name: str
    points: Sequence[Point]
    color: int = 0
    notes: Sequence[str] = field(default=())


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its interval (None: from the data), and whether only whole numbers are marked on it."""

    label: str
    domain: tuple[float, float] | None = None
    whole: bool = False


def line_chart(
    title: str,
    x: Axis,
    y: Axis,
    lines: Sequence[Line],
    *,
    diagonal: bool = False,
    mark_x: tuple[float, str] | None = None,
) -> Markup:
    """A chart of 400 x 280 pixels. diagonal: the line y = x, as a reference. mark_x: a vertical mark and its words."""
    right, left = _scales(x, y, lines)
    parts = [axes(right, left, x.label, y.label, whole=x.whole)]
    if diagonal:
        low, high = max(right.low, left.low), min(right.high, left.high)
        parts.append(el("path", d=path_of([(right(low), left(low)), (right(high), left(high))]), class_="ref"))
    if mark_x is not None and right.low <= mark_x[0] <= right.high:
        at = right(mark_x[0])
        parts.append(el("path", tip(mark_x[1]), d=path_of([(at, left.start), (at, left.end)]), class_="mark"))
        near_end = at > WIDTH * 0.7
        parts.append(el("text", mark_x[1], x=at + (-4.0 if near_end else 4.0), y=float(left.end + 10), class_="note",
                        text_anchor="end" if near_end else None))  # fmt: skip
    for line in lines:
        parts.extend(_draw(line, right, left))
    return svg(WIDTH, HEIGHT, title, heading(title), legend([(line.name, line.color) for line in lines]), *parts)


def _scales(x: Axis, y: Axis, lines: Sequence[Line]) -> tuple[Linear, Linear]:
    low, high = x.domain or extent(p[0] for line in lines for p in line.points)
    bottom, top = y.domain or extent((p[1] for line in lines for p in line.points), pad=0.06)
    return Linear(low, high, LEFT, WIDTH - RIGHT), Linear(bottom, top, HEIGHT - BOTTOM, TOP + 14)


def _draw(line: Line, right: Linear, left: Linear) -> list[Markup]:
    pixels = [(right(a), left(b)) for a, b in line.points]
    style = f"s{line.color}"
    parts = []
    if len(pixels) > 1:
        parts.append(el("path", tip(line.name), d=path_of(pixels), class_=f"line {style}"))
    if len(pixels) <= MARKED:
        for i, ((a, b), (u, v)) in enumerate(zip(line.points, pixels, strict=True)):
            note = line.notes[i] if line.notes else f"{line.name}: {number(a)}, {number(b)}"
            parts.append(el("circle", tip(note), cx=u, cy=v, r=2.6, class_=f"dot {style}"))
    return parts


def axes(right: Linear, left: Linear, x_label: str, y_label: str, *, whole: bool = False) -> Markup:
    """Grid, tick labels and axis labels between two scales in pixels."""
    parts = []
    for value in ticks(left.low, left.high, 5):
        at = left(value)
        parts.append(el("path", d=path_of([(right.start, at), (right.end, at)]), class_="grid"))
        parts.append(el("text", tick_text(value), x=right.start - 6, y=at + 3.5, class_="tick", text_anchor="end"))
    for value in ticks(right.low, right.high, 6):
        if whole and value != int(value):
            continue
        at = right(value)
        parts.append(el("path", d=path_of([(at, left.start), (at, left.start + 4)]), class_="axis"))
        parts.append(el("text", tick_text(value), x=at, y=left.start + 16.0, class_="tick", text_anchor="middle"))
    parts.append(el("path", d=path_of([(right.start, left.start), (right.end, left.start)]), class_="axis"))
    middle, centre = (right.start + right.end) / 2, (left.start + left.end) / 2
    parts.append(el("text", x_label, x=middle, y=left.start + 34.0, class_="label", text_anchor="middle"))
    if y_label:
        parts.append(el("text", y_label, x=0.0, y=0.0, class_="label", text_anchor="middle",
                        transform=f"translate(12 {centre:.1f}) rotate(-90)"))  # fmt: skip
    return el("g", *parts)


def heading(title: str) -> Markup:
    """The chart's title, top left."""
    return el("text", cut(title, 60), x=2.0, y=13.0, class_="title")


def legend(names: Sequence[tuple[str, int]], width: float = WIDTH) -> Markup:
    """Names with their colours, on the line under the title; nothing for a single unnamed line."""
    parts, at = [], float(LEFT)
    for name, color in names:
        if not name:
            continue
        text = cut(name, 24)
        parts.append(el("rect", x=at, y=22.0, width=10.0, height=10.0, rx=2.0, class_=f"fill s{color}"))
        parts.append(el("text", text, x=at + 14, y=31.0, class_="tick"))
        at += 24 + 6.2 * len(text)
        if at > width:
            break
    return el("g", *parts) if parts else Markup("")
