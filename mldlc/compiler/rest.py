"""What is wrong with the rest of the command line, when some of its overrides cannot be composed.

Values are typed once a config composes; a user who mistypes a key and a value is told both at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mldlc.compiler.draft import Draft
from mldlc.config.provenance import COMMAND_LINE
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError

OF_A_VALUE = ("unknown_key", "wrong_type", "bad_value")  # true of a value whatever else is in the config


def mistakes_of_the_rest(draft: Draft, told: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Mistakes in values that the overrides already `told` of hide. [] where the mistakes are not theirs."""
    blamed = {line for item in told if item.where == COMMAND_LINE for line in draft.ask.overrides if _is_of(line, item)}
    if not blamed:
        return []
    rest = tuple(line for line in draft.ask.overrides if line not in blamed)
    again = Draft(replace(draft.ask, overrides=rest), draft.snapshot, draft.root, draft.code)
    try:
        _front(again)
    except DiagnosticError as error:
        again.diagnostics += error.diagnostics
    keys = [_key(line) for line in blamed]
    # without the option that was meant, or the kind, its whole group is another one
    groups = {key for key in keys if "." not in key} | {key.removesuffix(".kind") for key in keys if ".kind" in key}

    def stands(item: Diagnostic) -> bool:
        inside = any(item.key == key or item.key.startswith(f"{key}.") for key in (*keys, *groups))
        return item.severity == "error" and item.code in OF_A_VALUE and not inside and item not in told

    return [item for item in again.diagnostics if stands(item)]


def _front(draft: Draft) -> None:
    from mldlc.compiler import compose
    from mldlc.compiler import type as typing

    compose.run(draft)
    typing.run(draft)


def _is_of(line: str, item: Diagnostic) -> bool:
    return line == item.found or _key(line) == item.key


def _key(line: str) -> str:
    """The key or group of an override, as a diagnostic names it."""
    return line.partition("=")[0].lstrip("+~").partition("@")[0].replace("/", ".")
