"""The plan as a picture: one box a step, top down in layers, one arrow for each pair of steps that exchange data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from mldlc.report.charts.layers import Layout, layout
from mldlc.report.charts.svg import coordinate, cut, el, svg, tip

BOX_WIDTH, BOX_HEIGHT = 122.0, 44.0
COLUMN, ROW = 134.0, 84.0
MARGIN = 10.0


@dataclass(frozen=True)
class Node:
    """One step. id: unique. title: its stage. subtitle: its kind. tooltip: text lines. room: colours the box."""

    id: str
    title: str
    subtitle: str = ""
    tooltip: str = ""
    room: str = ""


@dataclass(frozen=True)
class Edge:
    """What `end` takes from `start`; ports: the names of what goes along it."""

    start: str
    end: str
    ports: tuple[str, ...] = field(default=())


def dag(title: str, nodes: Sequence[Node], edges: Sequence[Edge]) -> Markup:
    """The picture; nodes in execution order. Boxes carry `data-step` so that a script can show more about them."""
    found = layout([node.id for node in nodes], [(edge.start, edge.end) for edge in edges])
    names = {node.id: node.title for node in nodes}
    ports: dict[tuple[str, str], list[str]] = {}
    for edge in edges:
        ports.setdefault((edge.start, edge.end), []).extend(p for p in edge.ports)
    drawn = [
        _arrow(found, edge, f"{names[edge[0]]} → {names[edge[1]]}: {', '.join(dict.fromkeys(ports.get(edge, [])))}")
        for edge in found.bends
    ]
    drawn += [_box(found, node) for node in nodes]
    width = found.width * COLUMN - (COLUMN - BOX_WIDTH) + 2 * MARGIN
    height = max(found.layers, 1) * ROW - (ROW - BOX_HEIGHT) + 2 * MARGIN
    head = el("path", d="M0 0L8 4L0 8z", class_="arrowhead")
    marker = el(
        "marker", head, id="arrow", viewBox="0 0 8 8", refX="7", refY="4", markerWidth="9", markerHeight="9",
        markerUnits="userSpaceOnUse", orient="auto",
    )  # fmt: skip
    return svg(width, height, title, el("defs", marker), *drawn, class_="chart dag")


def corner(found: Layout, id: str) -> tuple[float, float]:
    """The upper left corner of a step's box, in pixels."""
    column, layer = found.places[id]
    return MARGIN + column * COLUMN, MARGIN + layer * ROW


def _box(found: Layout, node: Node) -> Markup:
    x, y = corner(found, node.id)
    middle = x + BOX_WIDTH / 2
    return el(
        "g", tip(node.tooltip or node.title),
        el("rect", x=x, y=y, width=BOX_WIDTH, height=BOX_HEIGHT, rx=7.0),
        el("text", cut(node.title, 15), x=middle, y=y + 19, class_="node", text_anchor="middle"),
        el("text", cut(node.subtitle, 22), x=middle, y=y + 34, class_="tick", text_anchor="middle"),
        class_=f"step {node.room}".strip(), data_step=node.id, tabindex="0",
    )  # fmt: skip


def _arrow(found: Layout, edge: tuple[str, str], text: str) -> Markup:
    (x1, y1), (x2, y2) = corner(found, edge[0]), corner(found, edge[1])
    half = BOX_WIDTH / 2
    points = [(x1 + half, y1 + BOX_HEIGHT)]
    for column, layer in found.bends[edge]:
        x, y = MARGIN + column * COLUMN + half, MARGIN + layer * ROW
        points += [(x, y), (x, y + BOX_HEIGHT)]
    points.append((x2 + half, y2 - 2))
    parts = [f"M{coordinate(points[0][0])} {coordinate(points[0][1])}"]
    for (ax, ay), (bx, by) in zip(points[::2], points[1::2], strict=True):
        middle = (ay + by) / 2
        parts.append("C" + " ".join(coordinate(v) for v in (ax, middle, bx, middle, bx, by)))
        parts.append(f"L{coordinate(bx)} {coordinate(by + BOX_HEIGHT)}" if (bx, by) != points[-1] else "")
    return el("path", tip(text), d="".join(parts), class_="edge", marker_end="url(#arrow)",
              data_from=edge[0], data_to=edge[1])  # fmt: skip
