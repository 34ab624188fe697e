"""Put files under version: one commit on a branch, all of them or none. Files that did not change are not read again.

A folder's files go below the prefix, a file goes below it under its own name (`put a.csv --to main:raw/b.csv` names
it b.csv). What lies there beside them stays, without --delete. SRC is copied; with --take it becomes a hardlink that
shares its bytes with the store and is read-only from then on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from mldlc.cli.data.change import change_arguments, parse_metadata, publish_change
from mldlc.cli.data.gather import gather
from mldlc.cli.data.place import MAIN, check_branch_exists, open_place, parse_place, repository_arguments
from mldlc.cli.data.refusals import reported
from mldlc.cli.frame import outputs_of
from mldlc.cli.views.bar import Report, bar, on_terminal
from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Draft, Versions

PARTS = 20  # steps of the bar: each reads and writes the cache of known files


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data put`."""
    parser.add_argument("sources", nargs="+", metavar="SRC", help="files or folders")
    parser.add_argument("--to", default=MAIN, metavar="BRANCH[:PREFIX]", help="where to (main)")
    change_arguments(parser)
    parser.add_argument("--take", action="store_true", help="hardlink instead of copying; SRC becomes read-only")
    parser.add_argument("--delete", action="store_true", help="take out what lies below PREFIX and not in SRC")
    repository_arguments(parser)


@reported("data.put")
def run(args: argparse.Namespace) -> int:
    """Put the files."""
    place = parse_place(args.to, args)
    parse_metadata(args.meta)
    if args.delete and not all(Path(source).is_dir() for source in args.sources):
        raise fail("bad_arguments", "command line: --delete takes folders: what is not in them goes")
    files = gather(args.sources, place.path, outputs_of(args))
    versions = open_place(place, args, create=True)
    check_branch_exists(versions, place.ref)
    folder = place.path.rstrip("/") + "/" if place.path else ""

    def work(draft: Draft) -> None:
        if args.delete:
            for entry in versions.entries(draft.base, folder):
                if entry.path not in files:
                    draft.remove(entry.path)
        with bar("put", "bytes") as report:
            _put(versions, draft, files, args.take, report)

    name = next(iter(files)) if len(files) == 1 else f"{len(files)} files" + (f" to {folder}" if folder else "")
    return publish_change(versions, place, args, "data.put", args.message or f"Put {name}", work)


def _put(versions: Versions, draft: Draft, files: dict[str, str], take: bool, report: Report) -> None:
    if hasattr(versions, "progress"):  # an upload counts its own bytes
        versions.progress = report
        draft.put_many(files, take=take)
        return
    sizes = {name: Path(path).stat().st_size for name, path in files.items()} if on_terminal() else {}
    total, done = sum(sizes.values()), 0
    for part in _parts(files, sizes, total) if sizes else [files]:
        draft.put_many(part, take=take)
        done += sum(sizes.get(name, 0) for name in part)
        report(done, total)


def _parts(files: dict[str, str], sizes: dict[str, int], total: int) -> Iterator[dict[str, str]]:
    """The files in at most PARTS + 1 groups of about the same size."""
    part: dict[str, str] = {}
    held = 0
    for name, path in files.items():
        part[name] = path
        held += sizes[name]
        if held * PARTS >= total:
            yield part
            part, held = {}, 0
    if part:
        yield part
