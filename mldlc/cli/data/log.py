"""The commits of a branch, tag or commit, the newest first; with a path only those that changed something under it.

A merge is one line, as it was one change of the branch; --all shows the commits that it brought in, too.
"""

from __future__ import annotations

import argparse

from mldlc.cli.data.place import MAIN, as_prefix, open_place, parse_place, repository_arguments
from mldlc.cli.data.refusals import reported
from mldlc.cli.frame import emit
from mldlc.cli.views.data_text import commit_event, commit_line, commit_lines
from mldlc.cli.views.style import coloured
from mldlc.plan.diagnostic import fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data log`."""
    parser.add_argument("place", nargs="?", default=MAIN, metavar="REF[:PATH]", help="where to begin (main)")
    parser.add_argument("--prefix", default="", metavar="P", help="only commits that changed a path beginning with P")
    parser.add_argument("-n", "--most", type=int, default=20, metavar="N", help="at most N commits (20; 0: all)")
    parser.add_argument("-a", "--all", action="store_true", help="also the commits that merges brought in")
    parser.add_argument("-v", "--verbose", action="store_true", help="parents, whole message and metadata too")
    repository_arguments(parser)


@reported("data.log")
def run(args: argparse.Namespace) -> int:
    """Print the commits."""
    if args.most < 0:
        raise fail("bad_arguments", "command line: -n must be 0 (all) or more", found=str(args.most))
    place = parse_place(args.place, args)
    if place.path and args.prefix:
        raise fail("bad_arguments", f"command line: {place} and --prefix {args.prefix}: write one of them")
    versions = open_place(place, args)
    start = versions.resolve(place.ref)
    prefix = args.prefix or as_prefix(versions, [start], place.path)
    names: dict[str, list[str]] = {}
    for name, id in [*versions.branches().items(), *versions.tags().items()]:
        names.setdefault(id, []).append(name)
    count = 0
    for commit in versions.log(start, prefix, limit=args.most or None, first_parent=not args.all):
        count += 1
        refs = names.get(commit.id, [])
        if args.json:
            emit({"type": "commit", **commit_event(commit), "refs": refs})
        elif args.verbose:
            print("\n".join(commit_lines(commit, refs, coloured())))
        else:
            print(commit_line(commit, refs, coloured()))
    if args.json:
        emit({
            "format": "mldlc.data.log/1", "repository": place.repository, "ref": place.ref, "commit": start,
            "prefix": prefix, "commits": count,
        })  # fmt: skip
    elif not count:
        print(f"no commit of {place.ref} changed {prefix}" if prefix else f"{place.ref} has no commits")
    return 0
