"""List the files of a branch, tag or commit: what lies directly in a folder, or with -r all below it.

REF:PATH is a folder, a file or a glob (`*` and `?` stay inside a folder, `**` crosses them).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from mldlc.cli.data.place import MAIN, Place, children, open_place, parse_place, repository_arguments, select
from mldlc.cli.data.refusals import reported
from mldlc.cli.frame import emit
from mldlc.cli.views.data_text import entry_line, folder_line
from mldlc.cli.views.style import coloured, size
from mldlc.plan.versions import Entry, Versions


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data ls`."""
    parser.add_argument("place", nargs="?", default=MAIN, metavar="REF[:PATH]", help="what to list (main)")
    parser.add_argument("-r", "--recursive", action="store_true", help="all files below, not only those in the folder")
    parser.add_argument("-s", "--sizes", action="store_true", help="files and bytes of each folder (reads all below)")
    repository_arguments(parser)


@reported("data.ls")
def run(args: argparse.Namespace) -> int:
    """Print the list."""
    place = parse_place(args.place, args)
    versions = open_place(place, args)
    commit = versions.resolve(place.ref)
    files = folders = count = 0
    for item in _items(versions, commit, place, args.recursive):
        if isinstance(item, str):
            folders += 1
            inside = _total(versions.entries(commit, item)) if args.sizes else None
            if args.json:
                known = {"files": inside[0], "bytes": inside[1]} if inside else {}
                emit({"type": "folder", "path": item, **known})
            else:
                print(folder_line(item, inside, coloured()))
        else:
            files += 1
            count += item.size
            if args.json:
                emit({"type": "file", **item._asdict()})
            else:
                print(entry_line(item))
    if args.json:
        emit({
            "format": "mldlc.data.ls/1", "repository": place.repository, "ref": place.ref, "commit": commit,
            "path": place.path, "files": files, "folders": folders, "bytes": count,
        })  # fmt: skip
    elif args.recursive:
        print(f"{files} file{'' if files == 1 else 's'}, {size(count)}")
    elif not files + folders:
        print(f"{place.ref} has no files")
    return 0


def _items(versions: Versions, commit: str, place: Place, recursive: bool) -> Iterable[Entry | str]:
    found, folder = select(versions, commit, place)
    if recursive:
        return found
    if place.path.rstrip("/") == folder.rstrip("/"):
        return children(versions, commit, folder)
    return found  # one file, or what a glob matches


def _total(entries: Iterable[Entry]) -> tuple[int, int]:
    files = count = 0
    for entry in entries:
        files += 1
        count += entry.size
    return files, count
