"""Where the rows of a CSV file lie, read off its bytes block by block: fields a row, lines, offsets.

Only for files on which every reader agrees; `survey` gives None for the rest, and the csv module has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mldlc.data import csv_lines

BLOCK = 1 << 20  # fits the cache
LONGEST = 1 << 24  # a row beyond this is a quote that was left open
UTF8 = ("utf-8", "utf8", "ascii")
NEWLINE, RETURN = 10, 13
Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mark:
    """A place where a row begins: byte offset; lines, rows and blank rows before it."""

    offset: int
    line: int
    rows: int
    blank: int


@dataclass(frozen=True)
class Layout:
    """rows: neither blank nor comments, with the header. wrong: those of another width. first: line and fields of the
    first of them. marks: one a block, in file order."""

    rows: int
    blank: int
    wrong: int
    first: tuple[int, int]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class _Dialect:
    separator: int
    quote: int | None
    comment: bytes
    encoding: str


@dataclass(frozen=True)
class _Rows:
    """The whole rows at the start of a block. size: their bytes. ends: where each ends (its newline)."""

    size: int
    lines: Positions
    ends: Positions
    widths: Positions
    blank: Flags
    comment: Flags


def survey(path: Path, source: Any, width: int) -> Layout | None:
    """One pass over the bytes. None where quotes stand inside fields, lines end in a lone \\r, bytes are no text."""
    if source.encoding.lower() not in UTF8 or (source.quote and not source.quote.isascii()):
        return None
    dialect = _Dialect(
        ord(csv_lines.delimiter(source)), ord(source.quote) if source.quote else None,
        (source.comment or "").encode(), source.encoding,
    )  # fmt: skip
    offset = line = rows = blank = wrong = 0
    first = (0, 0)
    marks: list[Mark] = []
    for found in _blocks(path, dialect):
        if found is None:
            return None
        marks.append(Mark(offset, line, rows, blank))
        full = ~(found.blank | found.comment)
        bad = np.flatnonzero(full & (found.widths != width))
        if bad.size and not wrong:
            at = int(bad[0])
            first = line + int(np.searchsorted(found.lines, found.ends[at])) + 1, int(found.widths[at])
        wrong += bad.size
        rows += int(full.sum())
        blank += int(found.blank.sum())
        offset += found.size
        line += found.lines.size
    return Layout(rows, blank, wrong, first, tuple(marks))


def _blocks(path: Path, dialect: _Dialect) -> Iterator[_Rows | None]:
    """The rows of the file, some at a time; None, and no more, where they cannot be told."""
    rest = b""
    with path.open("rb") as file:
        start = file.read(3)
        if start == b"\xef\xbb\xbf":  # Polars skips the mark, Python has it in the first field
            yield None
            return
        file.seek(0)
        while data := file.read(BLOCK):
            block = rest + data
            found = _rows(block, dialect)
            if found is None or len(block) - found.size > LONGEST:
                yield None
                return
            if found.size:
                yield found
            rest = block[found.size :]
    if rest:
        found = _rows(rest + b"\n", dialect)
        yield found if found is not None and found.size == len(rest) + 1 else None


def _rows(block: bytes, dialect: _Dialect) -> _Rows | None:
    """The rows that end in this block, which begins with a row."""
    text = np.frombuffer(block, np.uint8)
    newline = text == NEWLINE
    breaks = newline | (text == dialect.separator)
    quotes = np.empty(0, np.int64)
    if dialect.quote is not None and dialect.quote in block:
        mark = text == dialect.quote
        quotes = np.flatnonzero(mark)
        breaks &= np.bitwise_xor.accumulate(mark.view(np.uint8)) == 0  # outside of quotes
    lines = np.flatnonzero(newline)
    starts = _after(lines)
    comments = starts[_begin(text, starts, dialect.comment)] if dialect.comment else np.empty(0, np.int64)
    if quotes.size and comments.size and _quoted(comments, lines, quotes):
        return None
    breaks_at = np.flatnonzero(breaks)
    last = np.flatnonzero(newline[breaks_at])  # which of the breaks end a row
    ends = breaks_at[last]
    size = int(ends[-1]) + 1 if ends.size else 0
    text, quotes, lines = text[:size], quotes[: np.searchsorted(quotes, size)], lines[: np.searchsorted(lines, size)]
    if not (_well_quoted(text, quotes, dialect) and _plain(block, text, dialect)):
        return None
    begins = _after(ends)
    lengths = ends - begins
    blank = (lengths == 0) | ((lengths == 1) & (text[begins] == RETURN))
    return _Rows(size, lines, ends, np.diff(last, prepend=-1), blank, np.isin(begins, comments))


def _after(ends: Positions) -> Positions:
    """Where lines begin that end there."""
    return np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends


def _begin(text: npt.NDArray[np.uint8], starts: Positions, prefix: bytes) -> Flags:
    """Which of the places begin with the prefix."""
    same = np.ones(starts.size, np.bool_)
    for number, byte in enumerate(prefix):
        same &= text[np.minimum(starts + number, text.size - 1)] == byte
    return same


def _quoted(comments: Positions, lines: Positions, quotes: Positions) -> bool:
    """Whether a comment has quotes in it or lies between quotes: readers differ on both."""
    before = np.searchsorted(quotes, comments)
    through = np.searchsorted(quotes, lines[np.searchsorted(lines, comments)])
    return bool(np.any((before & 1) | (before != through)))


def _well_quoted(text: npt.NDArray[np.uint8], quotes: Positions, dialect: _Dialect) -> bool:
    """Whether every quote opens a field, closes one, or is doubled inside of one."""
    opening, closing = quotes[0::2], quotes[1::2]
    opening = opening[opening > 0]
    around = np.concatenate((text[opening - 1], text[closing + 1]))
    if dialect.quote is None or not around.size:
        return True
    known = (around == dialect.separator) | (around == NEWLINE) | (around == dialect.quote)
    known[opening.size :] |= around[opening.size :] == RETURN
    return bool(known.all())


def _plain(block: bytes, text: npt.NDArray[np.uint8], dialect: _Dialect) -> bool:
    """Whether the bytes are text, and \\r only comes before \\n."""
    if RETURN in block:
        returns = np.flatnonzero(text == RETURN)
        if np.any(text[returns + 1] != NEWLINE):
            return False
    if not block.isascii():
        try:
            block[: text.size].decode(dialect.encoding)
        except UnicodeDecodeError:
            return False
    return True
