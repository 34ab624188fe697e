"""Overrides with several values, where the config chooses a search: they span its space instead of giving points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mldlc.config.provenance import COMMAND_LINE
from mldlc.config.space import from_override, plain
from mldlc.config.sweeping import is_zip
from mldlc.plan.diagnostic import Diagnostic

if TYPE_CHECKING:
    from mldlc.config.seam import Composer

SEARCHES = ("halving", "optuna")


def spanning(
    composer: Composer, lines: Sequence[str], kind_of: Callable[[tuple[str, ...]], Any]
) -> tuple[list[str], dict[str, dict[str, Any]], list[Diagnostic]]:
    """(the other overrides, key -> parameter as plain data, mistakes). kind_of: `sweep.kind` under group choices."""
    swept = [line for line in lines if _is_sweep(composer, line)]
    if not swept:
        return list(lines), {}, []
    choices = [_first(composer, line) if line in swept else line for line in lines if not is_zip(line)]
    if kind_of(tuple(line for line in choices if line)) not in SEARCHES:
        return list(lines), {}, []
    space: dict[str, dict[str, Any]] = {}
    found: list[Diagnostic] = []
    for line in swept:
        override = composer.parse(line)
        try:
            space[override.get_key_element()] = plain(from_override(override, composer.parse))
        except ValueError as error:
            message = f"'{line}': {error}"
            found.append(Diagnostic("bad_space", message, where=COMMAND_LINE, key=override.key_or_group, found=line))
    return [line for line in lines if line not in swept], space, found


def without(composer: Composer, lines: Sequence[str], point: Sequence[str]) -> list[str]:
    """The overrides whose keys a point does not set itself."""
    own = {composer.parse(line).key_or_group for line in point}
    return [line for line in lines if composer.parse(line).key_or_group not in own]


def _is_sweep(composer: Composer, line: str) -> bool:
    from mldlc.config import seam

    try:
        return composer.parse(line).is_sweep_override()
    except seam.Failure:
        return False  # told where the overrides are read


def _first(composer: Composer, line: str) -> str:
    """One point of a swept group, "" for a swept value."""
    override = composer.parse(line)
    if not override.is_discrete_sweep():
        return ""
    value = next(iter(override.sweep_string_iterator()), "")
    one = f"{override.get_key_element()}={value}"
    return "" if composer.is_value(one) else one
