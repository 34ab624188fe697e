"""A failure or a warning as data: what, where, what is allowed, how to mend. Text and JSON come from this one form."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Location:
    """A place in a config source; `file` relative to the project if it can be, `line` from 1 (0: unknown)."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Diagnostic:
    """One thing that is wrong.

    code: stable identifier (`unknown_key`, `wrong_type`, ...). key: the config path at fault. found: what stood there.
    allowed: values or names that would do. hint: how to mend it (the nearest name goes here).
    """

    code: str
    message: str
    severity: Severity = "error"
    where: Location | None = None
    key: str = ""
    found: str = ""
    allowed: tuple[str, ...] = field(default=())
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}; {self.hint}" if self.hint else text


class DiagnosticError(Exception):
    """Carries every diagnostic found at once; the CLI prints them and exits with 2."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(str(item) for item in self.diagnostics))


def fail(code: str, message: str, **fields: object) -> DiagnosticError:
    """A DiagnosticError of one diagnostic: `raise fail("unknown_group", "...", hint=...)`."""
    return DiagnosticError([Diagnostic(code, message, **fields)])  # type: ignore[arg-type]


def nearest(name: str, candidates: Iterable[str]) -> str:
    """The closest candidate to a misspelt name, or "" when none is close."""
    by_lower = {candidate.lower(): candidate for candidate in reversed(list(candidates))}  # the first of equals wins
    found = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The hint for a misspelt name: "did you mean 'x'?" or ""."""
    found = nearest(name, candidates)
    return f"did you mean '{found}'?" if found else ""
