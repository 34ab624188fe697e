"""Versioned data for a person and as events: commits, files, changes; aligned, ids short, printable."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from mldlc.cli.views.style import paint, size
from mldlc.plan.versions import Change, Commit, Entry

SHORT = 12
MARKS = {"added": "+", "changed": "~", "removed": "-", "conflict": "!", "prefix_changed": "*"}
COLOURS = {"added": "green", "changed": "yellow", "removed": "red", "conflict": "magenta", "prefix_changed": "yellow"}
WORDS = {"prefix_changed": "changed below", "conflict": "changed on both sides"}


def shown(text: str) -> str:
    """A name or a message as one printable line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def when(seconds: float) -> str:
    """Local time of a commit; "" for the root, which has none."""
    return datetime.datetime.fromtimestamp(seconds).isoformat(" ", "minutes") if seconds else " " * 16


def commit_line(commit: Commit, refs: list[str], colour: bool) -> str:
    """One commit, one line."""
    text = shown(commit.message.partition("\n")[0])
    return f"{paint(commit.id[:SHORT], 'yellow', colour)}  {when(commit.time)}  {text}{_names(refs, colour)}"


def commit_lines(commit: Commit, refs: list[str], colour: bool) -> list[str]:
    """One commit with all it says, and an empty line."""
    out = [f"commit {paint(commit.id, 'yellow', colour)}{_names(refs, colour)}"]
    if len(commit.parents) > 1:
        out.append(f"merge  {' '.join(id[:SHORT] for id in commit.parents)}")
    if commit.time:
        out.append(f"by     {shown(commit.committer)}, {when(commit.time)}")
    out += [f"    {shown(line)}" for line in commit.message.splitlines()]
    width = max((len(key) for key in commit.metadata), default=0)
    out += [
        paint(f"    {shown(key):<{width}}  {shown(value)}", "dim", colour) for key, value in commit.metadata.items()
    ]
    return [*out, ""]


def _names(refs: list[str], colour: bool) -> str:
    return "  " + paint(f"({', '.join(refs)})", "cyan", colour) if refs else ""


def commit_event(commit: Commit) -> dict[str, Any]:
    """A commit as JSON; time in seconds since the epoch."""
    return {
        "commit": commit.id,
        "tree": commit.tree,
        "parents": list(commit.parents),
        "message": commit.message,
        "metadata": dict(commit.metadata),
        "time": commit.time,
        "committer": commit.committer,
    }


def entry_line(entry: Entry) -> str:
    """One file: size, start of its digest, path."""
    return f"{size(entry.size):>9}  {entry.digest.removeprefix('etag:')[:SHORT]}  {shown(entry.path)}"


def folder_line(path: str, inside: tuple[int, int] | None, colour: bool) -> str:
    """One folder; inside: files and bytes below it, where they were counted."""
    count, files = (size(inside[1]), f"{inside[0]} files") if inside else ("-", "")
    return f"{count:>9}  {files:<{SHORT}}  {paint(shown(path), 'blue', colour)}"


def change_line(change: Change, colour: bool) -> str:
    """One change: mark, size, path."""
    before, after = (size(entry.size) if entry else "" for entry in (change.left, change.right))
    text = f"{before} -> {after}" if before and after and before != after else after or before
    line = f"{MARKS[change.kind]} {text:>20}  {shown(change.path)}"
    return paint(line, COLOURS[change.kind], colour)


def change_event(change: Change) -> dict[str, Any]:
    """A change as JSON; left and right are null where the file is not there."""
    left, right = ({"digest": e.digest, "size": e.size} if e else None for e in (change.left, change.right))
    return {"type": "change", "change": change.kind, "path": change.path, "left": left, "right": right}


def counts_text(counts: Mapping[str, int], grown: int) -> str:
    """What a diff comes to."""
    parts = [f"{counts[kind]} {WORDS.get(kind, kind)}" for kind in MARKS if counts.get(kind)]
    if "prefix_changed" in counts:
        return f"{', '.join(parts)}."
    return f"{', '.join(parts)}, {'-' if grown < 0 else '+'}{size(abs(grown))}."


def ref_lines(refs: Mapping[str, Commit | None], colour: bool) -> list[str]:
    """Branches or tags with what they stand for; None where the commit cannot be read any more."""
    width = max((len(name) for name in refs), default=0)
    return [
        f"{name:<{width}}  {commit_line(commit, [], colour) if commit else '?'}".rstrip()
        for name, commit in refs.items()
    ]
