"""Parallel coordinates: one axis a swept key and one for the metric, one line a point, the best ones drawn last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mldlc.report.charts.scale import Linear, extent, tick_text, ticks
from mldlc.report.charts.svg import cut, el, path_of, svg, tip
from mldlc.report.charts.xy import heading
from mldlc.report.numbers import number

GAP, WIDEST, HEIGHT, TOP, BOTTOM, SIDE = 150, 840, 320, 56, 22, 64
LABELS = 12
"Values that an axis of names or of few numbers labels at most."


@dataclass(frozen=True)
class Path:
    """One point: key -> value as written, its metric, a colour class (0: best, 9: the rest), and its tooltip."""

    values: Mapping[str, str]
    metric: float
    color: int
    note: str


def parallel(title: str, keys: Sequence[str], metric: str, paths: Sequence[Path], fallback: str) -> Markup:
    """The chart, at least 150 pixels an axis. fallback: what a point has where it leaves a key as configured."""
    gap = max(GAP, WIDEST // len(keys))
    left = {key: SIDE + gap * float(place) for place, key in enumerate(keys)}
    at = {key: _places([path.values.get(key, fallback) for path in paths], fallback) for key in keys}
    low, high = extent((path.metric for path in paths), pad=0.04)
    scale = Linear(low, high, HEIGHT - BOTTOM, TOP)
    end = SIDE + gap * float(len(keys))
    lines = [
        el("path", tip(path.note), class_=f"line thin s{path.color} {'faint' if path.color == 9 else ''}".strip(),
           d=path_of([*((left[key], at[key][path.values.get(key, fallback)]) for key in keys),
                      (end, scale(path.metric))]))
        for path in sorted(paths, key=lambda item: -item.color)
    ]  # fmt: skip
    axes = [_axis(left[key], cut(key, 24), list(at[key].items())) for key in keys]
    marks = [(tick_text(value), scale(value)) for value in ticks(low, high, 6)]
    return svg(2 * SIDE + gap * len(keys), HEIGHT, title, heading(title), *lines, *axes, _axis(end, metric, marks))


def _axis(x: float, name: str, marks: Sequence[tuple[str, float]]) -> Markup:
    step = max(1, -(-len(marks) // LABELS))
    shown = marks[::step] if step > 1 else marks
    return el(
        "g",
        el("path", d=path_of([(x, float(TOP)), (x, float(HEIGHT - BOTTOM))]), class_="axis"),
        el("text", name, x=x, y=TOP - 16.0, class_="label strong", text_anchor="middle"),
        *(el("text", tip(text), cut(text, 13), x=x + 5, y=y + 3.5, class_="tick halo") for text, y in shown),
    )


def _places(texts: Sequence[str], fallback: str) -> dict[str, float]:
    """Value -> its height: the fallback lowest, numbers by rank (learning rates are rarely even), then names."""
    distinct = sorted(set(texts), key=lambda text: (text != fallback, *_rank(text)))
    scale = Linear(0.0, float(max(len(distinct) - 1, 0)), HEIGHT - BOTTOM, TOP)
    return {text: scale(float(rank)) for rank, text in enumerate(distinct)}


def _rank(text: str) -> tuple[int, float, str]:
    try:
        return 0, float(text), ""
    except ValueError:
        return 1, 0.0, text


def told(values: Mapping[str, str], metric: str, value: float) -> str:
    """The tooltip of a point."""
    return "\n".join([f"{metric} {number(value)}", *(f"{key}={text}" for key, text in values.items())])
