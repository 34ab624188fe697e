"""Undo one commit of a branch by a new commit: what it added goes, what it changed or removed is as before.

Of a merge all that it brought in. Conflict where later commits changed the same files.

  mldlc data revert main main        undo the last commit of main
  mldlc data revert main main~2      undo the one before the one before it
"""

from __future__ import annotations

import argparse

from mldlc.cli.data.merge import check_whole, tell_head
from mldlc.cli.data.place import MAIN, check_branch_exists, open_place, parse_place, repository_arguments
from mldlc.cli.data.refusals import report_failure, reported
from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Conflict


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data revert`."""
    parser.add_argument("branch", metavar="BRANCH", help="the branch that takes the new commit")
    parser.add_argument(
        "commit", nargs="?", default="", metavar="COMMIT", help="the commit to undo; the branch itself: its last one"
    )
    parser.add_argument("-m", "--message", default="", help="the new commit's message")
    repository_arguments(parser)


@reported("data.revert")
def run(args: argparse.Namespace) -> int:
    """Revert."""
    if not args.commit:
        hint = "mldlc data revert BRANCH COMMIT, and the branch itself is its last commit: " + f"revert {MAIN} {MAIN}"
        raise fail("bad_arguments", f"command line: revert {args.branch}: a branch and a commit", hint=hint)
    branch, undone = parse_place(args.branch, args), parse_place(args.commit, args)
    check_whole(branch, undone)
    versions = open_place(branch, args)
    check_branch_exists(versions, branch.ref)
    commit = versions.commit(undone.ref)
    if not commit.parents:
        raise fail("no_parent", f"{undone.ref} is the root commit: there is nothing before it")
    before = versions.resolve(branch.ref)
    try:
        head = versions.revert(branch.ref, commit.id, message=args.message)
    except Conflict as error:
        return report_failure(error, args.json, "data.revert", "revert the later commits first: "
                              f"mldlc data log {branch.ref} --prefix {error.paths[0]}")  # fmt: skip
    return tell_head(head, before, branch, args, "data.revert")
