"""One change of a branch by a person: a draft, a commit, a merge. Until the merge nobody sees anything of it."""

from __future__ import annotations

import argparse
import datetime
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from mldlc.cli.data.place import SHORT, Place
from mldlc.cli.data.refusals import report_failure
from mldlc.cli.frame import emit
from mldlc.cli.views.data_text import change_event, change_line, counts_text
from mldlc.cli.views.style import coloured
from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Change, Commit, Conflict, Draft, NothingToCommit, Versions, VersionsError

LISTED = 10  # changes that are told one by one
RESERVED = "mldlc."
TERMINATED = 128 + signal.SIGTERM


def change_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of a verb that commits: -m, --meta."""
    parser.add_argument("-m", "--message", default="", help="the commit's message")
    parser.add_argument("--meta", action="append", default=[], metavar="K=V", help="metadata of the commit; repeatable")


def parse_metadata(pairs: list[str]) -> dict[str, str]:
    """`K=V` each. DiagnosticError `bad_arguments`."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise fail("bad_arguments", f"command line: --meta {pair}: no key=value", hint="--meta origin=census")
        if key.startswith(RESERVED):
            raise fail(
                "bad_arguments",
                f"command line: --meta {key}: keys of runs begin with '{RESERVED}'",
                hint="choose another",
            )
        if key in found:
            raise fail("bad_arguments", f"command line: --meta {key} is given twice")
        found[key] = value
    return found


def publish_change(
    versions: Versions,
    place: Place,
    args: argparse.Namespace,
    format: str,
    message: str,
    work: Callable[[Draft], None],
    marks: Mapping[str, str] | None = None,
) -> int:
    """Let `work` fill a draft, merge it into the branch of a place, and tell. The exit code. marks: metadata of ours.

    Whatever stops it, Ctrl-C and SIGTERM too, the draft goes and the branch is as it was.
    """
    metadata = {**parse_metadata(args.meta), **(marks or {})}
    before = versions.resolve(place.ref)
    run = f"{format.rpartition('.')[2]}-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}-{os.urandom(3).hex()}"
    with _terminable():
        draft = versions.draft(before, run=run)
        try:
            work(draft)
            commit = draft.commit(message, metadata)
            changes = list(versions.diff(before, commit.id))
            merged = draft.publish(place.ref, metadata=metadata, message=message)
        except NothingToCommit:
            draft.abandon()
            return _tell(versions.commit(before), [], place, args, format)
        except BaseException as error:
            with suppress(VersionsError, OSError):
                draft.abandon()
            if isinstance(error, Conflict):
                hint = f"{place.ref} moved meanwhile; the same command again starts from what is there now"
                return report_failure(error, args.json, format, hint)
            raise
    return _tell(merged, changes, place, args, format)


def _tell(head: Commit, changes: list[Change], place: Place, args: argparse.Namespace, format: str) -> int:
    counts: Counter[str] = Counter(change.kind for change in changes)
    grown = sum((c.right.size if c.right else 0) - (c.left.size if c.left else 0) for c in changes)
    text = sys.stderr if args.json else sys.stdout
    if len(changes) <= LISTED:
        for change in changes:
            print(change_line(change, coloured(text)), file=text)
    told = counts_text(counts, grown) if changes else "Nothing changed: these files are there already."
    print(f"{place.ref} is {'now' if changes else 'still'} at {head.id[:SHORT]}. {told}", file=text)
    if args.json:
        for change in changes:
            emit(change_event(change))
        emit(_summary(head, place, counts, grown, format))
    return 0


def _summary(head: Commit, place: Place, counts: Mapping[str, int], grown: int, format: str) -> dict[str, Any]:
    return {
        "format": f"mldlc.{format}/1",
        "status": "ok" if counts else "unchanged",
        "repository": place.repository,
        "branch": place.ref,
        "commit": head.id,
        "address": place.address(head.id),
        "counts": {kind: counts.get(kind, 0) for kind in ("added", "changed", "removed")},
        "bytes": grown,
    }


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, with its own exit code."""

    def stop(number: int, frame: object) -> None:
        sys.exit(TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread: whoever embeds us decides
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
