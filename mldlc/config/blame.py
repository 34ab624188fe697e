"""Mistakes of single overrides, each told at the command line with the nearest thing that would do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mldlc.config.provenance import COMMAND_LINE
from mldlc.plan.diagnostic import Diagnostic, did_you_mean, nearest

if TYPE_CHECKING:
    from mldlc.config.seam import Composer

_ABSENT = object()


def readable(composer: Composer, lines: Sequence[str], multirun: bool) -> tuple[list[str], list[Diagnostic]]:
    """(the overrides that can be used, what is wrong with the others): syntax, and sweeps where there is none."""
    from mldlc.config import seam

    good: list[str] = []
    found: list[Diagnostic] = []
    for line in lines:
        try:
            override = composer.parse(line)
            if override.is_sweep_override() and multirun and _sweep_kind(override) == "list":
                list(override.sweep_string_iterator())
        except seam.Failure as error:
            found.append(_syntax(line, str(error)))
            continue
        kind = _sweep_kind(override)
        if kind == "interval" and multirun:
            message = f"'{line}': an interval has no list of points"
            hint = "a search can try it (sweep=...); for a plain sweep write range(...) or a,b,c"
            found.append(
                Diagnostic("interval_sweep", message, where=COMMAND_LINE, key=override.key_or_group, hint=hint)
            )
        elif kind and not multirun:
            value = line.partition("=")[2]
            hint = f"add -m to sweep; for a list: {override.key_or_group}=[{value}]; for a text, quote it"
            message = f"'{line}' gives several values to one run"
            found.append(
                Diagnostic("sweep_without_m", message, where=COMMAND_LINE, key=override.key_or_group, hint=hint)
            )
        else:
            good.append(line)
    return good, found


def _sweep_kind(override: Any) -> str:
    """ "" for one value, "interval" for a range that only a search can try, "list" for what can be enumerated."""
    if not override.is_sweep_override():
        return ""
    return "list" if override.is_discrete_sweep() else "interval"


def _syntax(line: str, text: str) -> Diagnostic:
    first = text.splitlines()[0] if text else ""
    where = re.search(r"\n( *)\^", text)
    if "=" not in line:
        message, hint = f"'{line}' is not an override", "write key=value, +key=value to add, ~key to delete"
    elif where is not None:
        at = max(0, len(where[1]) - len("LexerNoViableAltException: "))
        message = f"'{line}' cannot be read: unexpected {line[at : at + 1]!r} at character {at + 1}"
        hint = f"quote the value: {_quoted(line)}"
    else:
        reason = re.sub(r"^Error parsing override '.*?'", "", first).strip() or (text.splitlines()[1:] or [""])[0]
        reason = "it ends too early" if "<EOF>" in reason else reason.partition(" expecting ")[0]
        message, hint = f"'{line}' cannot be read: {reason}", f"quote the value if it is a text: {_quoted(line)}"
    return Diagnostic("bad_override", message, where=COMMAND_LINE, found=line, hint=hint)


def _quoted(line: str) -> str:
    key, _, value = line.partition("=")
    value = value.strip("'\"").replace("'", "")
    return f"\"{key}='{value}'\""


def choice_errors(composer: Composer, lines: Sequence[str]) -> tuple[list[str], list[Diagnostic]]:
    """(usable overrides, mistakes): a group choice must be a name, and its group must exist."""
    good: list[str] = []
    found: list[Diagnostic] = []
    for line in lines:
        override = composer.parse(line)
        key, value = override.key_or_group, override.value()
        if composer.is_value(line) or key.split(".")[0] == "hydra" or override.is_delete():
            good.append(line)
        elif override.package is not None and not composer.sources.group_exists(key):
            found.append(_unknown_group(composer, line, key))
        elif override.is_force_add():
            message = f"'{line}': a group choice cannot be forced with ++"
            found.append(Diagnostic("bad_override", message, where=COMMAND_LINE, key=key, hint=f"write {line[2:]}"))
        elif not isinstance(value, str | list):
            options = composer.options(key)
            message = f"group '{key}' wants the name of an option, found {value!r}"
            hint = f"options: {', '.join(options)}" + (f"; to leave it out: ~{key}" if value is None else "")
            found.append(
                Diagnostic(
                    "wrong_type",
                    message,
                    where=COMMAND_LINE,
                    key=key,
                    found=repr(value),
                    allowed=tuple(options),
                    hint=hint,
                )
            )
        else:
            good.append(line)
    return good, found


def _unknown_group(composer: Composer, line: str, key: str) -> Diagnostic:
    groups = composer.groups()
    hint = did_you_mean(key, groups) or f"groups: {', '.join(groups)}"
    message = f"no config group '{key}'"
    return Diagnostic(
        "unknown_group", message, where=COMMAND_LINE, key=key, found=line, allowed=tuple(groups), hint=hint
    )


def blame_value(composer: Composer, line: str, config: dict[str, Any], text: str, cause: object) -> Diagnostic:
    """Why a value override could not be applied to a config."""
    override = composer.parse(line)
    key = override.key_or_group
    value = line.partition("=")[2]
    if "Could not append" in text:
        message = f"'{key}' exists already, '+' only adds new keys"
        hint = f"to change it: {line.lstrip('+')}"
        return Diagnostic("existing_key", message, where=COMMAND_LINE, key=key, found=line, hint=hint)
    if "Could not delete" in text and "does not exist" not in text:
        message = text.splitlines()[0].removeprefix("Could not delete from config. ")
        return Diagnostic(
            "bad_override", f"'{line}' deletes nothing: {message}", where=COMMAND_LINE, key=key, found=line
        )
    if "Could not override" not in text and "does not exist" not in text:
        reason = (str(cause).splitlines() or [text])[0] if cause else text.splitlines()[0]
        return Diagnostic(
            "bad_override", f"'{line}' cannot be applied: {reason}", where=COMMAND_LINE, key=key, found=line
        )
    if "." not in key and key not in config:
        return _neither(composer, line, key, config)
    if _exists(config, key):  # a mapping was given, with keys that the one in the config does not have
        return _adding(line, key, override.value(), config)
    parent, siblings = _siblings(config, key)
    near = nearest(key, [f"{parent}.{name}" if parent else name for name in siblings]) or nearest(
        key, list(_leaves(config, ""))
    )
    hint = f"did you mean '{near}'?" if near else (f"keys of '{parent}': {', '.join(siblings)}" if siblings else "")
    group = key.split(".")[0]
    if value and composer.sources.group_exists(group) and value in composer.options(group):
        hint = f"to choose the option '{value}': {group}={value}"
    elif not override.is_delete():
        hint = f"{hint} (to add a new key: +{line})".strip()
    message = f"unknown key '{key}'"
    return Diagnostic(
        "unknown_key", message, where=COMMAND_LINE, key=key, found=line, allowed=tuple(siblings), hint=hint
    )


def _exists(config: Any, key: str) -> bool:
    """Whether the composed config has this dotted key."""
    return _at(config, key.split(".")) is not _ABSENT


def _at(config: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        if not isinstance(config, dict) or part not in config:
            return _ABSENT
        config = config[part]
    return config


def _adding(line: str, key: str, value: Any, config: dict[str, Any]) -> Diagnostic:
    """A mapping laid over one that lacks some of its keys."""
    new = list(_missing(value, _at(config, key.split(".")), key))
    names = ", ".join(f"'{place}.{name}'" for place, name, _ in new) or f"keys that '{key}' does not have"
    hints = [f"did you mean '{place}.{near}'?" for place, name, beside in new if (near := nearest(name, beside))]
    hint = " ".join([*hints, f"(to add: ++{line})" if hints else f"to add: ++{line}"])
    return Diagnostic("unknown_key", f"'{line}' adds {names}", where=COMMAND_LINE, key=key, found=line, hint=hint)


def _missing(value: Any, node: Any, place: str) -> Iterator[tuple[str, str, list[str]]]:
    """(place, key, the keys beside it) of what a mapping has and the config at its place has not."""
    if isinstance(value, dict) and isinstance(node, dict):
        for name, item in value.items():
            if name in node:
                yield from _missing(item, node[name], f"{place}.{name}")
            else:
                yield place, str(name), list(map(str, node))


def _neither(composer: Composer, line: str, key: str, config: dict[str, Any]) -> Diagnostic:
    """An override whose key is neither a group nor a key at the top."""
    names = sorted({*composer.groups(), *map(str, config)})
    hint = did_you_mean(key, names) or f"groups: {', '.join(composer.groups())}"
    add = f" (to add a new key: +{line})" if not line.startswith("~") and "/" not in key else ""
    message = f"no config group or key '{key}'"
    where, allowed = COMMAND_LINE, tuple(names)
    return Diagnostic("unknown_group", message, where=where, key=key, found=line, allowed=allowed, hint=hint + add)


def _siblings(config: dict[str, Any], key: str) -> tuple[str, list[str]]:
    """The nearest existing parent of a key, and the keys that it has."""
    node: Any = config
    parts = key.split(".")[:-1]
    for index, part in enumerate(parts):
        if not isinstance(node, dict) or not isinstance(node.get(part), dict):
            return ".".join(parts[:index]), [str(name) for name in node] if isinstance(node, dict) else []
        node = node[part]
    return ".".join(parts), [str(name) for name in node] if isinstance(node, dict) else []


def _leaves(node: Any, prefix: str) -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
