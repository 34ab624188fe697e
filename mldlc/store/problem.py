"""One thing that verification found wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["damaged", "missing", "unreadable", "record", "stray"]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one file.

    damaged: the bytes of a file are not those that its name, or its kind, stands for. missing: a file that a record or
    a commit needs is absent or has another size. unreadable: it cannot be opened. record: a record that cannot be
    decoded. stray: a file that does not belong there.
    records, stages: the keys and stages whose outputs it spoils. places: files of commits that it spoils, `ref:path`.
    """

    kind: Kind
    path: Path
    expected: str
    found: str
    records: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    hint: str = ""
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        spoils = ", ".join((*self.stages, *self.places))
        text = f"; spoils {spoils}" if spoils else ""
        return f"{self.path}: {self.kind}: expected {self.expected}, found {self.found}{text}; {self.hint}"
