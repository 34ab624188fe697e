"""What typing gave before, on disk: a plan whose config changed in one stage types that stage, and imports pydantic for
it alone. Only shipped kinds are remembered: they change with mldlc itself, which the memory is bound to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mldlc.compiler.draft import Typed
from mldlc.compiler.files import read_json, write_json
from mldlc.compiler.stamps import own_stamp
from mldlc.compiler.watch import unmoved, watched
from mldlc.plan.codec import decode, encode

MOST = 256  # facts kept, the least recently used go first
MOST_NEW = 64  # typed stages kept of one compilation: a sweep of a thousand would only push the rest out


class TypeMemory:
    """Facts by key, as JSON; a fact in use moves to the end. Nothing wrong is ever kept, only what passed."""

    def __init__(self, outputs: Path | None) -> None:
        """outputs: None remembers nothing."""
        self._file = outputs / "cache" / "typed.json" if outputs else None
        found = read_json(self._file) if self._file else {}
        self._facts: dict[str, Any] = found["facts"] if found.get("stamp") == own_stamp() else {}
        self._used: dict[str, Any] = {}
        self._changed = False
        self._new = 0

    def get(self, key: str) -> Any:
        """The fact, None when it is not known."""
        fact = self._used.get(key, self._facts.get(key))
        if fact is not None:
            self._used[key] = fact
        return fact

    def keep(self, key: str, fact: Any) -> Any:
        """Remember a fact that is not None, and give it back."""
        self._used[key] = fact
        self._changed = True
        return fact

    def get_typed(self, key: str) -> Typed | None:
        """A typed stage, unless a folder that its sources were found in has changed."""
        fact = self.get(key)
        if fact is None or not unmoved(fact["folders"]):
            return None
        return decode(Typed, fact["typed"])

    def keep_typed(self, key: str, typed: Typed) -> None:
        """Remember a typed stage, if its sources can be watched."""
        folders = watched([typed]) if self._new < MOST_NEW else None
        if folders is not None:
            self._new += 1
            self.keep(key, {"typed": encode(typed), "folders": folders})

    def save(self) -> None:
        """Write what is new; a read-only folder only costs time."""
        if self._changed and self._file:
            facts = {key: fact for key, fact in self._facts.items() if key not in self._used} | self._used
            kept = dict(list(facts.items())[-MOST:])
            write_json(self._file, {"stamp": own_stamp(), "facts": kept})
