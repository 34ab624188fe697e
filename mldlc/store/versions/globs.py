"""Globs over the paths of a commit: `*` and `?` stay inside a part, `**` crosses "/", `[...]` is a set."""

from __future__ import annotations

import re
from collections.abc import Callable

_PART = re.compile(r"\*\*/|\*\*|\*|\?|\[(!?)([^]]+)\]|[^*?\[]+|\[")


def literal_prefix(glob: str) -> str:
    """What every match begins with: the glob up to its first special character."""
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]


def compile_glob(glob: str) -> Callable[[str], bool]:
    """Whether a path matches. `a/**` is all below a, `**/x` also x itself, `a/` the same as `a/**`."""
    text = f"{glob}**" if not glob or glob.endswith("/") else glob
    pattern = re.compile("".join(map(_piece, _PART.finditer(text))), re.DOTALL)
    return lambda path: pattern.fullmatch(path) is not None


def _piece(found: re.Match[str]) -> str:
    text = found.group()
    if found.group(2):
        characters = re.escape(found.group(2)).replace(r"\-", "-")
        return f"[^/{characters}]" if found.group(1) else f"[{characters}]"
    return {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(text) or re.escape(text)
