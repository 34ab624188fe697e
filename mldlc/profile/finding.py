"""The outcome of one rule as data, and its one line of text."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from mldlc.profile.expect_config import Severity

EXAMPLES = 5


@dataclass(frozen=True)
class Finding:
    """One rule, checked.

    rule: its name (`age.max`, a row rule's own name, `table.rows_min`, `drift.age.psi`). level: `row` where single
    rows are to blame. checked, bad: rows. allowed, found: what the rule says and what was there, as text.
    examples: the first bad rows {row, value}; row numbers start at 0 and run through all partitions.
    """

    rule: str
    column: str
    level: Literal["row", "column", "table"]
    severity: Severity
    violated: bool
    allowed: str
    found: str = ""
    checked: int = 0
    bad: int = 0
    share: float = 0.0
    examples: list[dict[str, Any]] = field(default_factory=list)
    hint: str = ""

    def __str__(self) -> str:
        if self.level != "row":
            text = f"{self.rule}: found {self.found}, expected {self.allowed}"
        else:
            shown = ", ".join(f"row {item['row']}: {item['value']!r}" for item in self.examples)
            text = (
                f"{self.rule}: {self.bad} of {self.checked} rows ({self.share:.2%}), expected {self.allowed}; {shown}"
            )
        return f"{text}; {self.hint}" if self.hint else text

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def plain_value(value: Any) -> Any:
    """A cell as a JSON value."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, str):
        return value if len(value) <= 200 else value[:200] + "..."
    return value if isinstance(value, bool | int | float | dict | None) else _text(value)


def _text(value: Any) -> str:
    return str(value.total_seconds()) + " s" if isinstance(value, timedelta) else str(value)[:200]
