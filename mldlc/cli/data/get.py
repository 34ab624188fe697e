"""Copy a file, a folder or what a glob matches out of a version. Each file is checked, and comes whole or not at all.

A file goes to DEST, or into DEST where that is a folder; a folder's files go below DEST (default: its own name here).
DEST `-` writes one file to stdout. Files that are there already with the same bytes are left alone; others are not
overwritten without --force.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from mldlc.cli.data.fetch import Copy, copy_checked, opener, write
from mldlc.cli.data.place import Place, open_place, parse_place, repository_arguments, select
from mldlc.cli.data.refusals import reported
from mldlc.cli.frame import emit
from mldlc.cli.views.data_text import shown
from mldlc.cli.views.style import size
from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Entry, Versions

SHOWN = 5  # files named in a refusal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data get`."""
    parser.add_argument("place", metavar="REF:PATH", help="a file, a folder or a glob")
    parser.add_argument("dest", nargs="?", default="", metavar="DEST", help="file or folder to write, or -")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite files that are there with other bytes")
    repository_arguments(parser)


@reported("data.get")
def run(args: argparse.Namespace) -> int:
    """Copy the files."""
    place = parse_place(args.place, args)
    versions = open_place(place, args)
    commit = versions.resolve(place.ref)
    found, folder = select(versions, commit, place)
    entries = list(found)
    if args.dest == "-":
        return _to_stdout(versions, commit, place, entries)
    copies = [_compared(entry, target) for entry, target in _targets(entries, folder, place, args.dest)]
    clashes = [copy.target for copy in copies if not copy.there and os.path.lexists(copy.target)]
    if clashes and not args.force:
        shown_ = ", ".join(map(str, clashes[:SHOWN])) + (f" and {len(clashes) - SHOWN} more" if clashes[SHOWN:] else "")
        raise fail("in_the_way", f"{shown_}: there already, with other bytes", hint="overwrite with --force")
    new = [copy for copy in copies if not copy.there]
    write(opener(versions, commit, place.path if "*" in place.path else folder, len(new)), new)
    count = sum(copy.entry.size for copy in new)
    if args.json:
        for copy in copies:
            event = {"type": "file", **copy.entry._asdict(), "to": str(copy.target), "written": not copy.there}
            emit(event)
        emit({
            "format": "mldlc.data.get/1", "repository": place.repository, "ref": place.ref, "commit": commit,
            "files": len(copies), "written": len(new), "bytes": count,
        })  # fmt: skip
        return 0
    where = str(copies[0].target) if len(copies) == 1 else args.dest or _default(place, folder)
    there = f", {len(copies) - len(new)} were there" if len(new) < len(copies) else ""
    print(f"{len(new)} file{'' if len(new) == 1 else 's'} written ({size(count)}) to {shown(where)}{there}")
    return 0


def _to_stdout(versions: Versions, commit: str, place: Place, entries: list[Entry]) -> int:
    if len(entries) != 1:
        raise fail(
            "bad_arguments", f"command line: {place} is {len(entries)} files, and - takes one", hint="name a file"
        )
    with versions.open(commit, entries[0].path) as source:
        copy_checked(source, sys.stdout.buffer, entries[0], lambda count: None)
    sys.stdout.buffer.flush()
    return 0


def _default(place: Place, folder: str) -> str:
    """Where a folder goes that no DEST is given for: its own name; a glob's files and a whole ref go here."""
    asked = place.path.rstrip("/")
    return asked.rpartition("/")[2] if asked and asked == folder.rstrip("/") else "."


def _targets(entries: list[Entry], folder: str, place: Place, dest: str) -> list[tuple[Entry, Path]]:
    """File -> where it goes. InvalidPath for a path that leaves DEST; DiagnosticError `in_the_way`."""
    from mldlc.store.versions.entries import check_path

    if len(entries) == 1 and entries[0].path == place.path:
        name = place.path.rpartition("/")[2]
        check_path(name)
        target = Path(dest) / name if not dest or dest.endswith("/") or Path(dest).is_dir() else Path(dest)
        return [(entries[0], target)]
    root = Path(dest or _default(place, folder))
    for entry in entries:
        check_path(entry.path[len(folder) :])
    pairs = [(entry, root / entry.path[len(folder) :]) for entry in entries]
    files = {target for _, target in pairs}
    both = sorted(str(parent) for parent in {p for target in files for p in target.parents} & files)
    if both:
        raise fail(
            "in_the_way", f"{both[0]} is a file and a folder in this version", hint="get one of them by its path"
        )
    return pairs


def _compared(entry: Entry, target: Path) -> Copy:
    """Look at what is there. DiagnosticError `in_the_way`: a folder stands where the file should go."""
    if target.is_dir():
        raise fail("in_the_way", f"{target} is a folder, where a file should go", hint="choose another DEST")
    if not target.is_file() or target.stat().st_size != entry.size or entry.digest.startswith("etag:"):
        return Copy(entry, target)
    from mldlc.store.hashing import hash_file

    return Copy(entry, target, there=hash_file(target) == entry.digest)
