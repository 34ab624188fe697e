"""The plan's picture: layers, order, room between boxes, and arrows that point down."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from mldlc.report.charts.dag import BOX_HEIGHT, BOX_WIDTH, ROW, Edge, Node, dag
from mldlc.report.charts.layers import crossings, layout
from tests.report.artifacts import WIRING

SHIPPED = [stage for stage, *_ in WIRING]
SHIPPED_EDGES = [(source.partition(".")[0], stage) for stage, _, inputs, _ in WIRING for source in inputs.values()]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    count = draw(st.integers(1, 14))
    nodes = [f"n{i}" for i in range(count)]
    pairs = [(a, b) for i, a in enumerate(nodes) for b in nodes[i + 1 :]]
    return nodes, draw(st.lists(st.sampled_from(pairs), max_size=30, unique=True)) if pairs else []


@given(graphs())
@settings(max_examples=100, deadline=None)
def test_any_dag_has_its_arrows_down_and_its_boxes_apart(graph: tuple[list[str], list[tuple[str, str]]]) -> None:
    nodes, edges = graph
    found = layout(nodes, edges)
    assert set(found.places) == set(nodes)
    for start, end in edges:
        assert found.places[start][1] < found.places[end][1]
        layers = [layer for _, layer in found.bends[start, end]]
        assert layers == list(range(found.places[start][1] + 1, found.places[end][1]))
    for node, (column, layer) in found.places.items():
        assert 0 <= column <= found.width - 1 + 1e-6
        assert layer == 0 or any(end == node and found.places[start][1] == layer - 1 for start, end in edges)
        for other, (place, level) in found.places.items():
            assert other == node or level != layer or abs(place - column) >= 1 - 1e-3
        for bends in found.bends.values():
            assert all(level != layer or abs(at - column) > 0.5 for at, level in bends)
    assert layout(nodes, list(reversed(edges))) == found


def test_the_shipped_plan_is_narrow_and_a_chain_is_straight() -> None:
    found = layout(SHIPPED, SHIPPED_EDGES)
    assert (round(found.width, 3), found.layers) == (4.0, 8)
    chain = layout(["a", "b", "c"], [("a", "b"), ("b", "c")])
    assert list(chain.places.values()) == [(0, 0), (0, 1), (0, 2)]


def test_crossings_are_counted_and_undone() -> None:
    assert crossings([["a", "b"], ["c", "d"]], {"a": ["d"], "b": ["c"]}) == 1
    found = layout(["a", "b", "c", "d"], [("a", "d"), ("b", "c")])
    assert (found.places["a"][0] < found.places["b"][0]) == (found.places["d"][0] < found.places["c"][0])


def test_an_edge_against_the_order_or_to_a_stranger_is_left_out() -> None:
    assert layout(["a", "b"], [("b", "a"), ("a", "a"), ("a", "x")]).bends == {}


def test_the_picture_has_a_box_a_step_and_an_arrow_a_pair() -> None:
    nodes = [Node(s, s, "kind", f"tip {s}", "data") for s in SHIPPED]
    root = ElementTree.fromstring(dag("Plan", nodes, [Edge(a, b, (f"{a} port",)) for a, b in SHIPPED_EDGES]))
    boxes = [g for g in root.iter("g") if g.get("data-step")]
    assert [box.get("data-step") for box in boxes] == SHIPPED
    assert [box[0].text for box in boxes] == [f"tip {s}" for s in SHIPPED]
    edges = [p for p in root.iter("path") if p.get("data-from")]
    assert {(e.get("data-from"), e.get("data-to")) for e in edges} == set(SHIPPED_EDGES)
    assert all(e.get("marker-end") == "url(#arrow)" for e in edges)
    rects = [next(box.iter("rect")) for box in boxes]
    assert {(float(r.get("width") or 0), float(r.get("height") or 0)) for r in rects} == {(BOX_WIDTH, BOX_HEIGHT)}
    tops = [float(r.get("y") or 0) for r in rects]
    assert tops[1] - tops[0] == ROW
    right = max(float(r.get("x") or 0) for r in rects) + BOX_WIDTH
    assert right <= float(root.get("width") or 0)
