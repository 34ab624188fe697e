"""What a kind of step has to say while a plan is made, and what it may look at to say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mldlc.plan.context import StepError


@dataclass(frozen=True)
class Advice:
    """note: lines for the plan, "" for none. picks: placement values that the plan sets, group -> key -> value.

    facts: for programs, what the note says. errors: what the step would stop at.
    """

    note: str = ""
    picks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[StepError, ...] = ()


class Outlook(Protocol):
    """What can be known of a step's inputs before it runs. sizes: port -> bytes, None where not known yet.

    last: numbers of the kind's last run.
    """

    sizes: Mapping[str, int | None]
    last: Mapping[str, float]

    def read(self, port: str, name: str) -> Any:
        """A JSON file of the artifact that a port is given, None where it is not known yet."""
        ...

    def ask(self, function: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of a "module:function" that may import anything: it runs in another process, and is remembered.

        question: JSON; all that the answer depends on, besides the step's code. {"failed": why} when it gave none.
        """
        ...
