"""Parsed overrides by their text: Hydra's parser reads each once, and of a sweep over numbers the key alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

# key=number in the forms that have one reading; anything else is left to Hydra's parser
_NUMBER = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)=(-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?)", re.ASCII)


class Parsed(dict[str, Any]):
    """Override text -> Hydra's `Override`. A text that is asked for the first time raises what the parser raises."""

    def __init__(self, parse: Callable[[str], Any]) -> None:
        self._parse = parse
        self._like: dict[tuple[str, bool], Any] = {}  # (key, whether a whole number) -> it set to some number

    def __missing__(self, line: str) -> Any:
        number = _NUMBER.fullmatch(line)
        self[line] = self._number(line, number) if number else self._parse(line)
        return self[line]

    def _number(self, line: str, found: re.Match[str]) -> Any:
        whole = found[3] is None and found[4] is None
        like = (found[1], whole)
        if like not in self._like:
            self._like[like] = self._parse(f"{found[1]}={0 if whole else 0.5}")
        return replace(self._like[like], _value=int(found[2]) if whole else float(found[2]), input_line=line)
