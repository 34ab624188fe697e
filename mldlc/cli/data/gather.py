"""The files that `data put` is given, with the paths they get on the branch."""
# ruff: noqa: PTH116 (a call per file: strings cost a third of Path objects)

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mldlc.plan.diagnostic import did_you_mean, fail


def gather(sources: list[str], prefix: str, keep_out: Path) -> dict[str, str]:
    """Path on the branch -> file. A folder's files go below the prefix; so does a file, under its own name.

    One file for a prefix with the same ending, `a.csv` for `raw/b.csv`, gets just that path. Links are followed.
    keep_out: the outputs root, which may not lie in a folder that is put. DiagnosticError `no_file`, `no_files`,
    `same_path`, `puts_itself`.
    """
    folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
    found: dict[str, str] = {}
    for text in sources:
        source = Path(text)
        if source.is_dir():
            _check_outside(source, keep_out)
            items = [(folder + name, path) for name, path in _walk(os.fspath(source), "", ())]
        elif os.path.lexists(source):
            renamed = len(sources) == 1 and not prefix.endswith("/") and _ending(prefix) == _ending(source.name) != ""
            items = [(prefix if renamed else folder + Path(os.path.abspath(source)).name, text)]  # noqa: PTH100
        else:
            raise fail("no_file", f"there is no file or folder {text}", found=text, hint=_near(source))
        for name, path in items:
            if name in found:
                raise fail("same_path", f"{found[name]} and {path} would both be {name}", hint="put them one by one")
            found[name] = path
    if not found:
        raise fail("no_files", f"no files in {', '.join(sources)}", hint="a folder without files puts nothing")
    return found


def _walk(folder: str, above: str, parents: tuple[tuple[int, int], ...]) -> Iterator[tuple[str, str]]:
    """Files below a folder with their relative paths, links followed."""
    info = os.stat(folder)
    here = (info.st_dev, info.st_ino)
    if here in parents:
        raise fail("endless_link", f"{folder} links to a folder that it lies in", hint="remove the link")
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _walk(entry.path, f"{above}{entry.name}/", (*parents, here))
            elif entry.is_file():
                yield above + entry.name, entry.path
            else:
                kind = "a broken link" if entry.is_symlink() else "no regular file"
                mode = 0 if entry.is_symlink() else entry.stat().st_mode
                kind = "a socket" if stat.S_ISSOCK(mode) else "a pipe" if stat.S_ISFIFO(mode) else kind
                raise fail("no_file", f"{entry.path} is {kind}", hint="move it away, or put the files by name")


def _check_outside(source: Path, keep_out: Path) -> None:
    inside, outside = keep_out.resolve(), source.resolve()
    if inside.is_relative_to(outside) and inside.exists():
        raise fail("puts_itself", f"{source} holds the outputs, {inside}", hint="put a folder beside them")


def _ending(name: str) -> str:
    return os.path.splitext(name)[1]  # noqa: PTH122  # of a path on a branch


def _near(source: Path) -> str:
    folder = source.parent
    if not folder.is_dir():
        there = next((parent for parent in folder.parents if parent.is_dir()), Path("/"))
        return f"the path exists up to {there}"
    return did_you_mean(source.name, os.listdir(folder)) or f"{folder.absolute()} has no such name"  # noqa: PTH208
