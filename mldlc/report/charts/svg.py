"""SVG elements as escaped text: the one place where the charts' markup is written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from markupsafe import Markup, escape

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


def clean(text: object) -> str:
    """Text without the characters that XML forbids (they become U+FFFD)."""
    return _CONTROL.sub("\ufffd", str(text))


def coordinate(value: float) -> str:
    """A coordinate in pixels with at most two decimals: "12", "3.5"; a value that is not finite is a mistake."""
    if not math.isfinite(value):
        raise ValueError(f"coordinate {value} is not finite")
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def el(name: str, *children: object, **attributes: object) -> Markup:
    """One element. `class_` is class, `stroke_width` is stroke-width; None leaves an attribute out; text is escaped."""
    parts = []
    for key, value in attributes.items():
        if value is not None:
            text = coordinate(value) if isinstance(value, float) else clean(value)
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(text)}"')
    inner = "".join(str(child if isinstance(child, Markup) else escape(clean(child))) for child in children)
    head = f"<{name}{''.join(parts)}"
    return Markup(f"{head}>{inner}</{name}>" if inner else f"{head}/>")


def tip(text: str) -> Markup:
    """A tooltip: browsers show the <title> of an element on hover."""
    return el("title", text)


def svg(width: float, height: float, label: str, *children: object, class_: str = "chart") -> Markup:
    """A picture of `width` x `height` pixels; `label` is what a screen reader says."""
    return el(
        "svg", *children, class_=class_, viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
        width=float(width), height=float(height), role="img", aria_label=label,
    )  # fmt: skip


def path_of(points: Iterable[tuple[float, float]]) -> str:
    """The `d` of a polyline through pixel points."""
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)


def cut(text: object, length: int) -> str:
    """Text of at most `length` characters, with an ellipsis where it was cut."""
    whole = clean(text)
    return whole if len(whole) <= length else whole[: length - 1] + "…"
