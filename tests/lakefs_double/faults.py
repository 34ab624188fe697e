"""Faults on demand: what servers, proxies and networks do, at the request one chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["status", "drop", "lost", "cut", "slow", "before", "rewrite"]


@dataclass
class Fault:
    """What happens to the next `times` requests of an operation, after `skip` that go well.

    status: this answer, the work not done. drop: the connection ends before the work. lost: it ends after the work,
    without an answer. cut: after half of the body. slow: `seconds` before the work. before: `action` runs first.
    rewrite: the JSON answer goes through `change`, and may then break the API's description.
    """

    operation: str
    kind: Kind
    times: int = 1
    skip: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "made to fail"}'
    seconds: float = 0.0
    action: Callable[[], Any] = lambda: None
    change: Callable[[Any], Any] = lambda value: value


class Faults:
    """The faults that wait. `met`: how many have happened."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()
        self.met = 0

    def add(self, fault: Fault) -> None:
        """Let it happen."""
        with self._lock:
            self._waiting.append(fault)

    def take(self, operation: str) -> Fault | None:
        """The fault of this request, or None."""
        with self._lock:
            for fault in self._waiting:
                if fault.operation != operation or fault.times <= 0:
                    continue
                if fault.skip:
                    fault.skip -= 1
                    return None
                fault.times -= 1
                self.met += 1
                return fault
        return None

    def left(self) -> list[Fault]:
        """Faults that did not happen as often as they should: a test that proved nothing."""
        return [fault for fault in self._waiting if fault.times > 0]
