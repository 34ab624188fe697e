"""Globs over the paths of a commit: `*` and `?` stay inside a part, `**` crosses "/", `[...]` is a set."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mldlc.plan.diagnostic import did_you_mean
from mldlc.plan.versions import PathNotFound

_PART = re.compile(r"\*\*/|\*\*|\*|\?|\[(!?)([^]]+)\]|[^*?\[]+|\[")


def literal_prefix(glob: str) -> str:
    """What every match begins with: the glob up to its first special character."""
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]


def compile_glob(glob: str) -> Callable[[str], bool]:
    """Whether a path matches. `a/**` is all below a, `**/x` also x itself, `a/` the same as `a/**`."""
    text = f"{glob}**" if not glob or glob.endswith("/") else glob
    pattern = re.compile("".join(map(_piece, _PART.finditer(text))), re.DOTALL)
    return lambda path: pattern.fullmatch(path) is not None


def no_match(ref: str, commit: str, glob: str, names: Sequence[str]) -> PathNotFound:
    """The error for a glob that matches nothing at a ref. names: paths that are near it."""
    at = commit[:12] if ref == commit else f"{ref} ({commit[:12]})"
    folder, _, last = glob.rpartition("/")
    deeper = f"{folder}/**/{last}".lstrip("/")
    if any(name.startswith(f"{glob}/") for name in names):
        hint = f"it is a folder: write '{glob}/' for all below it"
    elif literal_prefix(glob) != glob and any(map(compile_glob(deeper), names)):
        hint = f"'**' crosses folders: '{deeper}'"
    else:
        hint = did_you_mean(glob, names)
    return PathNotFound(f"{at} has no file {glob!r}" + (f"; {hint}" if hint else ""))


def _piece(found: re.Match[str]) -> str:
    text = found.group()
    if found.group(2):
        characters = re.escape(found.group(2)).replace(r"\-", "-")
        return f"[^/{characters}]" if found.group(1) else f"[{characters}]"
    return {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(text) or re.escape(text)
