"""Colours on a terminal, plain text elsewhere; no library, so that looking stays fast."""

from __future__ import annotations

import os
import sys
from typing import TextIO

CODES = {
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bold": "1",
}


def coloured(stream: TextIO | None = None) -> bool:
    """Whether to colour what goes to `stream` (NO_COLOR and TERM=dumb are respected)."""
    stream = stream or sys.stdout
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, on: bool) -> str:
    """`text` in a colour of CODES when `on`."""
    return f"\033[{CODES[colour]}m{text}\033[0m" if on and colour else text


def duration(seconds: float) -> str:
    """Short human duration: 0.4 s, 41 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return (
        f"{int(seconds // 60)} min {int(seconds % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
    )


def number_text(value: float) -> str:
    """A metric for a person: counts whole, the rest with four decimals."""
    return str(int(value)) if float(value).is_integer() and abs(value) >= 2 else f"{value:.4f}"


def size(count: float) -> str:
    """Short human size in bytes: 812 B, 4.1 MB."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return ""
