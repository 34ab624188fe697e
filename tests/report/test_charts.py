"""The charts: well-formed XML, and geometry that can be told in advance."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.report.charts import bars, matrix, xy
from mldlc.report.charts.scale import Linear, extent, tick_text, ticks
from mldlc.report.charts.svg import coordinate, el
from mldlc.report.numbers import number, percent, setting, short, signed, words

EVIL = "<b>&\"'\x00\ud800]]>"
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


def parsed(picture: str) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def of(root: ElementTree.Element, tag: str, name: str) -> list[ElementTree.Element]:
    return [item for item in root.iter(tag) if name in (item.get("class") or "").split()]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in (pair.split() for pair in path[1:].split("L"))]


def test_a_line_lies_where_its_scales_say() -> None:
    root = parsed(xy.line_chart("t", xy.Axis("x", (0, 10)), xy.Axis("y", (0, 1)), [xy.Line("a", [(0, 0), (10, 1)])]))
    (line,) = of(root, "path", "line")
    assert points(str(line.get("d"))) == [(xy.LEFT, xy.HEIGHT - xy.BOTTOM), (xy.WIDTH - xy.RIGHT, xy.TOP + 14)]
    dots = of(root, "circle", "dot")
    assert [float(dot.get("cx") or 0) for dot in dots] == [xy.LEFT, xy.WIDTH - xy.RIGHT]
    assert [title.text for dot in dots for title in dot] == ["a: 0, 0", "a: 10, 1"]


def test_the_diagonal_joins_equal_values() -> None:
    root = parsed(xy.line_chart("t", xy.Axis("x", (0, 2)), xy.Axis("y", (1, 3)), [], diagonal=True))
    (line,) = of(root, "path", "ref")
    right, left = Linear(0, 2, xy.LEFT, xy.WIDTH - xy.RIGHT), Linear(1, 3, xy.HEIGHT - xy.BOTTOM, xy.TOP + 14)
    assert points(str(line.get("d"))) == [(right(1), left(1)), (right(2), left(2))]


def test_axes_name_themselves_and_their_ticks() -> None:
    root = parsed(xy.line_chart("Title", xy.Axis("across", (0, 1)), xy.Axis("up", (0, 1)), [xy.Line("a", [(0, 0)])]))
    texts = [item.text for item in root.iter("text")]
    assert {"Title", "across", "up", "a", "0", "0.2", "0.4", "0.6", "0.8", "1"} <= set(texts)


def test_an_axis_of_whole_numbers_marks_no_others() -> None:
    lines = [xy.Line("a", [(1, 0), (4, 1)])]
    texts = [t.text for t in parsed(xy.line_chart("t", xy.Axis("epoch", whole=True), xy.Axis("y"), lines)).iter("text")]
    assert {"1", "2", "3", "4"} <= set(texts)
    assert not {"1.5", "2.5", "3.5"} & set(texts)


def test_histogram_bars_have_the_height_of_their_counts() -> None:
    root = parsed(bars.histogram("t", "x", [0, 1, 2, 3], [5, 10, 0]))
    drawn = of(root, "rect", "fill")
    heights = [float(bar.get("height") or 0) for bar in drawn]
    full = xy.HEIGHT - xy.BOTTOM - xy.TOP
    assert heights == pytest.approx([full / 2, full])
    assert drawn[0][0].text == "0 to 1: 5 rows"
    assert float(drawn[0].get("x") or 0) == xy.LEFT


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.data())
@settings(max_examples=50, deadline=None)
def test_densities_enclose_one(counts: list[int], data: st.DataObject) -> None:
    widths = data.draw(st.lists(st.floats(0.01, 100), min_size=len(counts), max_size=len(counts)))
    edges = [0.0]
    for width in widths:
        edges.append(edges[-1] + width)
    area = sum(d * (b - a) for d, a, b in zip(bars.density((edges, counts)), edges, edges[1:], strict=False))
    assert area == pytest.approx(1)


def test_alike_parts_of_unlike_size_lie_on_each_other() -> None:
    edges = [0.0, 1.0, 2.0]
    picture = bars.spark("a", (edges, [20, 40]), [("train", 0, (edges, [10, 20])), ("val", 1, (edges, [1, 2]))])
    first, second = of(parsed(picture), "path", "thin")
    assert first.get("d") == second.get("d")


def test_horizontal_bars_start_at_zero_on_both_sides() -> None:
    root = parsed(bars.horizontal("t", "x", [("up", 2.0, "n"), ("down", -2.0, "n")]))
    up, down = of(root, "rect", "fill")
    zero = float(up.get("x") or 0)
    assert float(down.get("x") or 0) + float(down.get("width") or 0) == pytest.approx(zero)
    assert float(up.get("width") or 0) == pytest.approx(float(down.get("width") or 0))


def test_shares_keep_their_proportion_and_mark_the_parts() -> None:
    root = parsed(bars.shares("t", [("a", 0.8, [("train", 0, 0.4)]), ("b", 0.2, [])]))
    first, second = (float(bar.get("width") or 0) for bar in of(root, "rect", "fill"))
    assert first / second == pytest.approx(4)
    (mark,) = of(root, "path", "thin")
    assert points(str(mark.get("d")))[0][0] == pytest.approx(first / 2)


def test_the_confusion_matrix_shades_by_the_share_of_the_true_class() -> None:
    root = parsed(matrix.confusion("t", ["no", "yes"], [[75, 25], [0, 0]]))
    cells = of(root, "rect", "fill")
    assert [float(c.get("fill-opacity") or 0) for c in cells] == pytest.approx([0.68, 0.28, 0.08, 0.08])
    assert [c.get("class") for c in cells] == ["fill s0", "fill s1", "fill s1", "fill s0"]
    assert "true no, predicted yes: 25 rows, 25.0\u2009% of the true class" in [t.text for t in root.iter("title")]
    with pytest.raises(ValueError, match="2 labels"):
        matrix.confusion("t", ["no", "yes"], [[1, 2]])


@pytest.mark.parametrize(
    "picture",
    [
        xy.line_chart(EVIL, xy.Axis(EVIL), xy.Axis(EVIL), [xy.Line(EVIL, [(0, 1), (1, 2)], 1)], mark_x=(1.0, EVIL)),
        xy.line_chart("empty", xy.Axis("x"), xy.Axis("y"), []),
        xy.line_chart("flat", xy.Axis("x"), xy.Axis("y"), [xy.Line("a", [(1, 3e-4), (2, 3e-4)])]),
        bars.histogram(EVIL, EVIL, [0, 1], [0]),
        bars.spark(EVIL, None, [(EVIL, 3, ([0, 1], [4]))]),
        bars.horizontal(EVIL, EVIL, [(EVIL, 0.0, EVIL)]),
        bars.shares(EVIL, [(EVIL, 0.0, [(EVIL, 2, 0.0)])]),
        matrix.confusion(EVIL, [EVIL], [[3]]),
    ],
)
def test_pictures_are_well_formed_whatever_the_names(picture: str) -> None:
    root = parsed(picture)
    assert root.tag == "svg"
    assert root.get("role") == "img"
    assert not list(root.iter("b"))


@given(NUMBERS, NUMBERS, st.integers(1, 10))
@settings(max_examples=200, deadline=None)
def test_ticks_are_round_inside_and_few(a: float, b: float, count: int) -> None:
    low, high = min(a, b), max(a, b)
    if high - low < 1e-6 * max(abs(low), abs(high), 1e-6):
        return
    found = ticks(low, high, count)
    slack = 1e-6 * (high - low)
    assert all(low - slack <= t <= high + slack for t in found)
    assert len(found) <= count + 1
    steps = {round((y - x) / (found[1] - found[0]), 3) for x, y in pairwise(found)}
    assert steps <= {1.0}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0, 100, [0, 20, 40, 60, 80, 100]), (-3, 3, [-2, 0, 2]), (5, 5, [5])],
)
def test_ticks_known(low: float, high: float, expected: Sequence[float]) -> None:
    assert ticks(low, high) == expected


def test_extent_of_nothing_of_one_and_of_many() -> None:
    assert extent([]) == (0.0, 1.0)
    assert extent([4.0]) == (0.0, 8.0)
    assert extent([0.0, 10.0, math.nan, math.inf], pad=0.1) == (-1.0, 11.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (20000, "20k"), (1.5e6, "1.5M"), (2.5e-4, "2.5e−4"), (-0.2, "−0.2"), (1990, "1,990"), (3e9, "3B")],
)
def test_tick_text(value: float, text: str) -> None:
    assert tick_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.91234, "0.9123"), (0.5, "0.5000"), (32561, "32,561"), (-0.0123, "−0.0123"), (38.58, "38.58"), (None, "–"),
     (1.5e-7, "1.50e−07"), (True, "yes"), (math.nan, "–"), (189778.37, "189,778"), (0, "0"), ("text", "text")],
)  # fmt: skip
def test_number(value: object, text: str) -> None:
    assert number(value) == text


def test_other_texts() -> None:
    shares = [percent(v).replace("\u2009%", "") for v in (0, 0.0561, 1, 1e-5, None)]
    assert shares == ["0", "5.6", "100", "< 0.1", "–"]
    assert [signed(v) for v in (0.02, -0.02, 0, None)] == ["+0.0200", "−0.0200", "0", "–"]
    assert [setting(v) for v in (0.1, [256, 128], [], None, False)] == ["0.1", "256, 128", "none", "none", "no"]
    assert setting(-1.5) == "−1.5"
    assert (words("macro_f1"), words("lr"), short("a" * 64), short("")) == ("macro F1", "learning rate", "a" * 12, "–")


def test_coordinates_are_short_and_finite() -> None:
    assert [coordinate(v) for v in (1.0, 2.346, -0.001, 100.5)] == ["1", "2.35", "0", "100.5"]
    with pytest.raises(ValueError, match="finite"):
        coordinate(math.nan)
    assert str(el("g", "a<b", class_="x", stroke_width=1.50)) == '<g class="x" stroke-width="1.5">a&lt;b</g>'
