"""The names of the columns in the footer of a Parquet file, in plain Python: a plan imports no library of 100 MB.

Format: https://github.com/apache/parquet-format (FileMetaData, SchemaElement), in Thrift's compact
protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MAGIC = b"PAR1"
LARGEST = 64 << 20
SCHEMA, NAME, CHILDREN = 2, 4, 5  # numbers of fields
STOP, TRUE, FALSE, BYTE, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = 0, 1, 2, 3, 7, 8, 9, 10, 11, 12


def column_names(path: Path) -> list[str]:
    """Top-level columns in order; [] where the footer cannot be read (no Parquet, encrypted, damaged)."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            tail = file.read(8)
            length = int.from_bytes(tail[:4], "little")
            if tail[4:] != MAGIC or not 0 < length <= min(size - 12, LARGEST):
                return []
            file.seek(size - 8 - length)
            return _top(_Reader(file.read(length)).schema())
    except (IndexError, UnicodeDecodeError):
        return []


def _top(elements: list[tuple[str, int]]) -> list[str]:
    """The children of the root; their own children follow each, depth first."""
    names: list[str] = []
    at = 1
    while at < len(elements) and len(names) < elements[0][1]:
        name, children = elements[at]
        names.append(name)
        open_ = children
        at += 1
        while open_:
            open_ += elements[at][1] - 1
            at += 1
    return names


class _Reader:
    """Just enough of the protocol: the field that is wanted is read, all others are passed over."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def schema(self) -> list[tuple[str, int]]:
        """(name, number of children) of every element, the root first; [] when there is no schema."""
        for number, kind in self._fields():
            if number == SCHEMA and kind == LIST:
                count, _ = self._list()
                return [self._element() for _ in range(count)]
            self._skip(kind)
        return []

    def _element(self) -> tuple[str, int]:
        name, children = "", 0
        for number, kind in self._fields():
            if number == NAME:
                name = self._bytes().decode()
            elif number == CHILDREN:
                value = self._varint()
                children = value >> 1  # zigzag of a number that is not negative
            else:
                self._skip(kind)
        return name, children

    def _fields(self) -> Iterator[tuple[int, int]]:
        """(number, kind) of each field of a struct; whoever asks reads or skips the value before the next."""
        number = 0
        while (head := self._byte()) & 15 != STOP:
            delta = head >> 4
            if delta:
                number += delta
            else:
                value = self._varint()
                number = (value >> 1) ^ -(value & 1)
            yield number, head & 15

    def _skip(self, kind: int) -> None:
        if kind in (TRUE, FALSE):
            return
        if kind == BYTE:
            self.at += 1
        elif kind == DOUBLE:
            self.at += 8
        elif kind == BINARY:
            self._bytes()
        elif kind in (LIST, SET):
            count, inner = self._list()
            for _ in range(count):
                self._skip(BYTE if inner in (TRUE, FALSE) else inner)
        elif kind == MAP:
            count = self._varint()
            kinds = self._byte() if count else 0
            for _ in range(count):
                self._skip(kinds >> 4)
                self._skip(kinds & 15)
        elif kind == STRUCT:
            for _, inner in self._fields():
                self._skip(inner)
        else:
            self._varint()

    def _list(self) -> tuple[int, int]:
        head = self._byte()
        count = head >> 4
        return (self._varint() if count == 15 else count), head & 15

    def _bytes(self) -> bytes:
        length = self._varint()
        self.at += length
        if self.at > len(self.data):
            raise IndexError
        return self.data[self.at - length : self.at]

    def _byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
