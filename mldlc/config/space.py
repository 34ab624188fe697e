"""The space of a search: what each parameter may be, read from config or from Hydra's sweep grammar; plain data."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mldlc.plan.diagnostic import did_you_mean

_BARE = re.compile(r"[A-Za-z_/][\w./-]*( [\w./-]+)*", re.ASCII)
_WORDS = {"true", "false", "null", "nan", "inf"}
_KEYS = ("low", "high", "log", "step", "integer", "choices")


@dataclass(frozen=True)
class Interval:
    """All numbers from low to high, both included; `step` counts from low. integer: whole numbers only."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    integer: bool = False


@dataclass(frozen=True)
class Choices:
    """One of some values."""

    values: tuple[Any, ...]


Param = Interval | Choices


def read_param(value: Any, parse: Callable[[str], Any] | None = None) -> Param:
    """A parameter as a config writes it: {low, high, log, step}, {choices}, a list, or a text of Hydra's sweep grammar.

    parse: Hydra's parser of one override, for texts. ValueError says what is wrong.
    """
    if isinstance(value, str) and parse is not None:
        return from_override(parse(f"x={value}"), parse)
    if isinstance(value, list | tuple):
        return _choices(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no space; write {{low: 0.1, high: 1}}, {{choices: [a, b]}} or interval(0.1, 1)")
    for key in value:
        if key not in _KEYS:
            raise ValueError(f"unknown key '{key}'; {did_you_mean(str(key), _KEYS) or 'keys: ' + ', '.join(_KEYS)}")
    if "choices" in value:
        if len(value) > 1:
            raise ValueError("choices stand alone, without low and high")
        return _choices(value["choices"])
    if "low" not in value or "high" not in value:
        raise ValueError("it needs low and high, or choices")
    for key in ("low", "high", "step"):
        number = value.get(key)
        if (number is not None or key != "step") and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise ValueError(f"{key} must be a number (found {number!r})")
    numbers = [value["low"], value["high"], value.get("step") or 1]
    integer = value.get("integer")
    whole = all(isinstance(number, int) or float(number).is_integer() for number in numbers)
    if integer and not whole:
        raise ValueError("integer needs whole numbers")
    if integer is None:
        integer = all(isinstance(number, int) for number in numbers)
    return _interval(value["low"], value["high"], value.get("log") or False, value.get("step"), bool(integer))


def _choices(values: Any) -> Choices:
    if not isinstance(values, list | tuple) or not values:
        raise ValueError("choices must be a list with at least one value")
    return Choices(tuple(values))


def _interval(low: float, high: float, log: bool, step: float | None, integer: bool) -> Interval:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError("low and high must be finite")
    if low > high:
        raise ValueError(f"low {low:g} is above high {high:g}")
    if low == high:
        raise ValueError(f"low and high are both {low:g}: there is nothing to search")
    if log and low <= 0:
        raise ValueError(f"log needs low above 0 (found {low:g})")
    if step is not None and (step <= 0 or log):
        raise ValueError("step must be above 0, and not with log")
    kind: type = int if integer else float
    return Interval(kind(low), kind(high), log, None if step is None else kind(step), integer)


def from_override(override: Any, parse: Callable[[str], Any]) -> Param:
    """A sweep of Hydra's grammar: `interval(...)`, `range(...)`, `choice(...)`, `a,b`, `glob(...)`, `tag(log, ...)`."""
    if not override.is_sweep_override():
        raise ValueError(f"'{override.value()}' is one value, no space")
    found = override.value()
    log = "log" in getattr(found, "tags", ())
    if override.is_interval_sweep():
        integer = isinstance(found.start, int) and isinstance(found.end, int)
        return _interval(found.start, found.end, log, None, integer)
    if override.is_range_sweep():
        start, stop, step = found.start, found.stop, found.step
        count = math.ceil((stop - start) / step)
        if step > 0 and count > 1:
            whole = all(isinstance(number, int) for number in (start, stop, step))
            return _interval(start, start + (count - 1) * step, False, step, whole)
    return Choices(tuple(parse(f"x={text}").value() for text in override.sweep_string_iterator()))


def plain(param: Param) -> dict[str, Any]:
    """A parameter as JSON values; `read_param` reads them."""
    if isinstance(param, Choices):
        return {"choices": list(param.values)}
    out: dict[str, Any] = {"low": param.low, "high": param.high, "integer": param.integer}
    return out | ({"log": True} if param.log else {}) | ({} if param.step is None else {"step": param.step})


def shown(param: Param) -> str:
    """A parameter for a person."""
    if isinstance(param, Choices):
        return ", ".join(text_of(value) for value in param.values)
    how = " (log)" if param.log else f" by {param.step:g}" if param.step else ""
    return f"{param.low:g} .. {param.high:g}{how}"


def line_of(key: str, value: Any) -> str:
    """The override that sets a parameter to a value."""
    return f"{key}={text_of(value)}"


def text_of(value: Any) -> str:
    """A value in Hydra's grammar; a text is quoted where it might be read as something else."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{text_of(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(text_of, value)) + "]"
    text = str(value)
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        return text
    text = re.sub(r"(\\*)'", r"\1\1\\'", text)  # a backslash is one where no quote follows it
    return "'" + re.sub(r"(\\+)$", r"\1\1", text) + "'"
