"""Candidates for one override: groups, options, dotted keys, their values."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mldlc.cli.completion.files import files
from mldlc.compiler.vocabulary import Vocabulary

_CHOICE = re.compile(r"\+{0,2}(?P<group>[\w/]+)(@[\w.]*)?=\[?(?P<options>[\w/,\-]+)\]?")
_SIGN = re.compile(r"\+\+|\+|~|")


def choices(words: tuple[str, ...], vocabulary: Vocabulary) -> tuple[str, ...]:
    """The group choices among the words, each one that exists; of a sweep the first option."""
    found = []
    for word in words:
        match = _CHOICE.fullmatch(word)
        options = vocabulary.groups().get(match["group"]) if match else None
        if match is None or options is None:
            continue
        picked = match["options"].split(",")
        if all(option in options for option in picked):
            found.append(word if "[" in word else f"{word.partition('=')[0]}={picked[0]}")
    return tuple(found)


def override(text: str, words: tuple[str, ...], vocabulary: Vocabulary) -> Iterator[str]:
    """What an override that begins with `text` can become. `words`: the words before it."""
    sign = _SIGN.match(text)[0]  # type: ignore[index]
    name, given, value = text[len(sign) :].partition("=")
    if given:
        cut = max(value.rfind(","), value.rfind("["), value.rfind("(")) + 1
        begun = f"{sign}{name}={value[:cut]}"
        yield from (begun + item for item in _values(name, value[cut:], words, vocabulary))
    else:
        yield from (sign + item for item in _names(name, sign, words, vocabulary))


def keys(text: str, words: tuple[str, ...], vocabulary: Vocabulary) -> Iterator[str]:
    """Keys by level: `trainer.` and, below it, `trainer.max_epochs`."""
    known = vocabulary.keys(choices(words, vocabulary))["values"]
    yield from _level(text, known)


def _names(name: str, sign: str, words: tuple[str, ...], vocabulary: Vocabulary) -> Iterator[str]:
    end = "" if sign == "~" else "="
    yield from (f"{group}{end}" for group in vocabulary.groups() if "." not in name and group.startswith(name))
    known = vocabulary.keys(choices(words, vocabulary))
    there = [] if sign == "+" else known["values"]
    for found in _level(name, [*there, *(known["new"] if "+" in sign else [])]):
        yield found if found.endswith(".") else f"{found}{end}"


def _level(text: str, known: object) -> Iterator[str]:
    """The next part of each key that begins with `text`; "." at its end when there is more below."""
    depth = text.count(".")
    seen: dict[str, None] = {}
    for key in known:  # type: ignore[attr-defined]
        if key.startswith(text):
            parts = key.split(".")
            seen[".".join(parts[: depth + 1]) + ("." if len(parts) > depth + 1 else "")] = None
    yield from seen


def _values(name: str, begun: str, words: tuple[str, ...], vocabulary: Vocabulary) -> Iterator[str]:
    options = vocabulary.groups().get(name.partition("@")[0])
    if options is not None:
        yield from (option for option in options if option.startswith(begun))
        return
    known = vocabulary.keys(choices(words, vocabulary))
    found = list(known["allowed"].get(name, []))
    value = known["values"].get(name)
    if value is not None and (not found or found == ["null"]):
        found = list(dict.fromkeys([value, *found]))
    yield from (item for item in found if item.startswith(begun))
    if name in known["paths"]:
        yield from files(begun)
