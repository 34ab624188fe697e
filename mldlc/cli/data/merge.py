"""Merge a branch, tag or commit into a branch. Where both changed the same files differently, nothing is merged.

--strategy source-wins or dest-wins settles such files, all of them the same way.

  mldlc data merge dev main            what dev has that main has not, into main
  mldlc data merge dev --into main     the same
  mldlc data diff main...dev           what that would bring; `!` marks what both changed
"""

from __future__ import annotations

import argparse
from typing import Any

from mldlc.cli.data.place import MAIN, SHORT, Place, check_branch_exists, open_place, parse_place, repository_arguments
from mldlc.cli.data.refusals import report_failure, reported
from mldlc.cli.frame import emit
from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Commit, Conflict


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data merge`."""
    parser.add_argument("source", metavar="SOURCE", help="branch, tag or commit")
    parser.add_argument("into", nargs="?", default="", metavar="INTO", help="the branch that takes it")
    parser.add_argument("--into", dest="named", default="", metavar="BRANCH", help="the same, by name")
    parser.add_argument(
        "--strategy", choices=("none", "source-wins", "dest-wins"), default="none", help="for files that both changed"
    )
    parser.add_argument("-m", "--message", default="", help="the merge's message")
    repository_arguments(parser)


@reported("data.merge")
def run(args: argparse.Namespace) -> int:
    """Merge."""
    source, into = parse_place(args.source, args), parse_place(_into(args), args)
    check_whole(source, into)
    if source.repository != into.repository:
        raise fail("bad_arguments", f"{source.repository} and {into.repository}: a merge stays within one repository")
    versions = open_place(into, args)
    check_branch_exists(versions, into.ref)
    versions.resolve(source.ref)
    before = versions.resolve(into.ref)
    try:
        head = versions.merge(source.ref, into.ref, message=args.message, strategy=args.strategy)
    except Conflict as error:
        return report_failure(error, args.json, "data.merge", "look: mldlc data diff --three-dot "
                              f"{into.ref} {source.ref}; settle with --strategy source-wins or dest-wins")  # fmt: skip
    return tell_head(head, before, into, args, "data.merge")


def _into(args: argparse.Namespace) -> str:
    """The branch, as one of the two forms names it. DiagnosticError `bad_arguments`."""
    if args.into and args.named and args.into != args.named:
        raise fail("bad_arguments", f"command line: into {args.into}, or --into {args.named}?", hint="name one branch")
    if not (args.into or args.named):
        hint = f"mldlc data merge {args.source} {MAIN if args.source != MAIN else 'BRANCH'}"
        raise fail("bad_arguments", f"command line: merge {args.source} into which branch?", hint=hint)
    return str(args.into or args.named)


def check_whole(*places: Place) -> None:
    """DiagnosticError `bad_arguments` for a path where a whole ref is asked for."""
    for place in places:
        if place.path:
            raise fail("bad_arguments", f"command line: '{place}': a ref, without a path", hint=place.ref)


def tell_head(head: Commit, before: str, place: Place, args: Any, format: str) -> int:
    """Tell where a branch is after a merge or a revert; exit code 0."""
    changed = head.id != before
    if args.json:
        emit({
            "format": f"mldlc.{format}/1", "status": "ok" if changed else "unchanged", "repository": place.repository,
            "branch": place.ref, "commit": head.id, "before": before,
        })  # fmt: skip
    elif changed:
        print(f"{place.ref} is now at {head.id[:SHORT]}: {head.message.partition(chr(10))[0]}")
    else:
        print(f"{place.ref} is still at {head.id[:SHORT]}: nothing to do.")
    return 0
