"""Labels of the artifacts on a `many` port: the overrides of a sweep's point as one text, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

BASE = "base"
"""The point that a sweep leaves as configured."""
OPENING, CLOSING = "([{", ")]}"


def label_of(overrides: Iterable[str]) -> str:
    """The label of a point: what the sweep set there, which stays the same when other points come and go."""
    return ",".join(overrides) or BASE


def overrides_of(label: str) -> dict[str, str]:
    """key -> value as written, of a label; {} where it is none of a sweep (the name of a stage, the base)."""
    found: dict[str, str] = {}
    last = ""
    for piece in pieces(label):
        key, equals, value = piece.partition("=")
        if equals and key:
            last = key.lstrip("+~")
            found[last] = value
        elif last:  # a comma in an unquoted text
            found[last] += f",{piece}"
    return found


def arguments_of(label: str) -> str:
    """The overrides of a label as they are typed, a space between each: a comma of a list stays."""
    typed: list[str] = []
    for piece in pieces(label):
        if "=" in piece or not typed:
            typed.append(piece)
        else:  # a comma in an unquoted text
            typed[-1] += f",{piece}"
    return " ".join(typed)


def pieces(text: str) -> Iterator[str]:
    """The parts of a text between its commas, those inside brackets and quotes left alone."""
    depth, quote, start, at = 0, "", 0, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in OPENING:
            depth += 1
        elif char in CLOSING:
            depth -= 1
        elif char == "," and depth == 0:
            yield text[start:at]
            start = at + 1
        at += 1
    yield text[start:]
