"""Which points a sweep has: Hydra's own grammar, `zip(a=...,b=...)`, and what the config group `sweep` declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mldlc.config.blame import readable
from mldlc.config.provenance import COMMAND_LINE
from mldlc.config.space import line_of
from mldlc.plan.diagnostic import Diagnostic, Location
from mldlc.plan.label import pieces

if TYPE_CHECKING:
    from mldlc.config.seam import Composer


@dataclass(frozen=True)
class Axis:
    """One dimension of a sweep that is more than one key: each alternative is a set of overrides.

    where: the place in a config that asks for it; None for the command line.
    """

    alternatives: tuple[tuple[str, ...], ...]
    where: Location | None = None


Item = str | Axis
"""An override, or an axis at its place among them: the first varies slowest."""


def key_of(line: str) -> str:
    """The key or group that an override aims at."""
    return line.lstrip("+~").partition("=")[0].partition("@")[0]


def section_of(line: str) -> str:
    """The first part of the key that an override aims at."""
    return key_of(line).split(".")[0]


def is_zip(line: str) -> bool:
    """Whether an argument is a paired sweep, written as Hydra plans to write it."""
    return line.startswith("zip(") and line.endswith(")")


def read_items(composer: Composer, arguments: Sequence[str], sweeping: bool) -> tuple[list[Item], list[Diagnostic]]:
    """(what the command line asks for and can be used, what is wrong with the rest)."""
    items: list[Item] = []
    found: list[Diagnostic] = []
    for argument in arguments:
        if not is_zip(argument):
            good, wrong = readable(composer, [argument], sweeping)
            items += good
        elif not sweeping:
            wrong = [_wrong(argument, "gives several values to one run", "add -m to sweep")]
        else:
            axis, wrong = _zip(composer, argument)
            items += [axis] if axis else []
        found += wrong
    twice = _twice(items)
    return items, [*found, *twice]


def lines_of(items: Iterable[Item]) -> list[str]:
    """The overrides that are not part of an axis."""
    return [item for item in items if isinstance(item, str)]


def expand(composer: Composer, items: Sequence[Item]) -> list[tuple[list[str], tuple[str, ...]]]:
    """Every point in Hydra's order: (all its overrides, the swept ones). An axis is a key that sweeps over numbers."""
    from mldlc.config import seam

    axes = {f"axis__{number}": item for number, item in enumerate(items) if isinstance(item, Axis)}
    lines = [
        item if isinstance(item, str) else f"axis__{number}=range({len(item.alternatives)})"
        for number, item in enumerate(items)
    ]
    jobs = seam.points(composer, lines)
    if not axes:
        return jobs
    told = {f"{key}={number}": lines for key, axis in axes.items() for number, lines in enumerate(axis.alternatives)}
    return [
        (
            [line for found in job for line in told.get(found, (found,))],
            tuple(line for found in swept for line in told.get(found, (found,))),
        )
        for job, swept in jobs
    ]


def _wrong(argument: str, problem: str, hint: str) -> Diagnostic:
    return Diagnostic("bad_override", f"'{argument}' {problem}", where=COMMAND_LINE, found=argument, hint=hint)


def _zip(composer: Composer, argument: str) -> tuple[Axis | None, list[Diagnostic]]:
    parts: list[str] = []
    for part in pieces(argument[4:-1]):
        if "=" in part or not parts:
            parts.append(part.strip())
        else:  # a=1,2: the comma belongs to the sweep
            parts[-1] += f",{part}"
    good, wrong = readable(composer, parts, True)
    return (None, wrong) if wrong else _paired(argument, [_values(composer, line) for line in good])


def _paired(shown: str, columns: Sequence[Sequence[str]]) -> tuple[Axis | None, list[Diagnostic]]:
    if len(columns) < 2:
        return None, [_wrong(shown, "pairs nothing", "write zip(a=choice(1,2),b=choice(3,4))")]
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{key_of(column[0])} has {len(column)}" for column in columns if column)
        return None, [_wrong(shown, f"pairs lists of unlike lengths: {counts}", "give each key as many values")]
    return Axis(tuple(zip(*columns, strict=True))), []


def _values(composer: Composer, line: str) -> list[str]:
    override = composer.parse(line)
    if not override.is_sweep_override():
        return [line]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _twice(items: Sequence[Item]) -> list[Diagnostic]:
    """Keys of an axis that something else sets too: the names of the points would lie."""
    found = []
    for axis in items:
        others = {key for item in items if item is not axis for key in keys_of(item)}
        for key in sorted(keys_of(axis) & others) if isinstance(axis, Axis) else ():
            message = f"'{key}' is swept by zip(...) and set a second time"
            found.append(Diagnostic("swept_twice", message, where=COMMAND_LINE, key=key, hint="set it in one place"))
    return found


def keys_of(item: Item) -> set[str]:
    """Every key that an override or an axis sets."""
    lines = [item] if isinstance(item, str) else [line for lines in item.alternatives for line in lines]
    return set(map(key_of, lines))


def declared(
    composer: Composer, sweep: Any, taken: set[str], locate: Callable[[tuple[str, ...]], Location | None]
) -> tuple[list[Axis], list[Diagnostic]]:
    """What the config group `sweep` asks for: (axes, mistakes). Its shape is checked with all other groups later.

    taken: keys that the command line sets: it wins, and the sweep goes over the rest. locate: place of a config key,
    which is given by its parts.
    """
    if not isinstance(sweep, Mapping) or sweep.get("kind") != "grid" or not _shaped(sweep):
        return [], []
    found: list[Diagnostic] = []

    def column(key: str, values: Any) -> list[str]:
        """`key=value` of each value: a text is in Hydra's sweep grammar."""
        listed = values if isinstance(values, list) else [values]
        lines = [f"{key}={values}"] if isinstance(values, str) else [line_of(key, value) for value in listed]
        good, wrong = readable(composer, lines, True)
        found.extend(wrong)
        out = [value for line in good for value in (_values(composer, line) if isinstance(values, str) else [line])]
        if not out and not wrong:
            message = f"'{key}' is swept over no values"
            found.append(Diagnostic("empty_sweep", message, where=COMMAND_LINE, key=key, hint="list some, or drop it"))
        return out

    axes = [
        Axis(tuple((line,) for line in column(key, values)), locate(("sweep", "params", key)))
        for key, values in sweep["params"].items()
    ]
    for number, pair in enumerate(sweep["zip"]):
        axis, wrong = _paired("zip", [column(key, values) for key, values in pair.items()])
        axes += [replace(axis, where=locate(("sweep", "zip", str(number))))] if axis else []
        found += wrong
    varied = [(line,) for key, values in sweep["vary"].items() for line in column(key, values)]
    axes += [Axis(((), *varied), locate(("sweep", "vary")))] if varied else []
    listed = [tuple(line for key, value in point.items() for line in column(key, [value])) for point in sweep["points"]]
    axes += [Axis(tuple(listed), locate(("sweep", "points")))] if listed else []
    located = [replace(item, where=locate(("sweep",))) for item in found]
    return [axis for axis in (_without(item, taken) for item in axes) if axis is not None], located


def _shaped(sweep: Mapping[str, Any]) -> bool:
    """Whether the fields have the shapes that their schema asks for."""
    maps = [sweep.get("params"), sweep.get("vary")]
    lists = [sweep.get("zip"), sweep.get("points")]
    if not all(isinstance(item, dict) for item in maps) or not all(isinstance(item, list) for item in lists):
        return False
    return all(isinstance(item, dict) and item for rows in lists for item in rows or ())


def _without(axis: Axis, taken: set[str]) -> Axis | None:
    """The axis without keys that the command line sets; None when nothing is left of it."""
    kept = (tuple(line for line in lines if key_of(line) not in taken) for lines in axis.alternatives)
    alternatives = tuple(dict.fromkeys(kept))
    return replace(axis, alternatives=alternatives) if any(alternatives) else None
