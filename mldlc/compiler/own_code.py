"""What the modules of mldlc itself import of it, remembered while none of its files changed: a third of a warm plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.stamps import own_stamp

_DIGESTS: dict[str, str] = {}
_REACH: dict[str, Any] = {}


class OwnCode:
    """Closures of modules of mldlc by name, kept in a file that is safe to delete, and for other projects planned by
    this process: its modules stay as they were imported.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        kept = read_json(file)
        known = kept if kept.get("stamp") == own_stamp() else {}
        self._digests, self._reach = _DIGESTS, _REACH
        self._digests |= known.get("digests", {})
        self._reach |= known.get("reach", {})
        self._changed = len(known.get("reach", ())) < len(self._reach)

    def __contains__(self, start: str) -> bool:
        return start in self._reach

    def reached(self, start: str) -> tuple[dict[str, str], list[str]]:
        """Module -> digest of its closure in mldlc, and the first names of what that imports from elsewhere."""
        names, tops = self._reach[start]
        return {name: self._digests[name] for name in names}, tops

    def remember(self, start: str, found: Mapping[str, str], tops: Sequence[str]) -> None:
        """Keep a closure."""
        self._digests |= found
        self._reach[start] = [sorted(found), list(tops)]
        self._changed = True

    def save(self) -> None:
        """Write the file if it grew."""
        if self._changed:
            write_json(self.file, {"stamp": own_stamp(), "digests": self._digests, "reach": self._reach})
            self._changed = False
