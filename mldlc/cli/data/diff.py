"""What changed between two versions: LEFT RIGHT, or LEFT..RIGHT; LEFT...RIGHT is from their common ancestor to RIGHT.

One ref alone: what its commit changed, against its first parent.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter

from mldlc.cli.data.place import Place, as_prefix, open_place, parse_place, repository_arguments
from mldlc.cli.data.refusals import reported
from mldlc.cli.frame import emit
from mldlc.cli.views.data_text import change_event, change_line, counts_text
from mldlc.cli.views.style import coloured
from mldlc.plan.diagnostic import fail


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data diff`."""
    parser.add_argument("sides", nargs="+", metavar="LEFT RIGHT", help="two refs, LEFT..RIGHT, or one ref")
    parser.add_argument("--prefix", default="", metavar="P", help="only paths that begin with P")
    parser.add_argument("--partitions", action="store_true", help="changed folders directly below, not every file")
    parser.add_argument("--three-dot", action="store_true", help="from the common ancestor; what LEFT changed too: !")
    repository_arguments(parser)


@reported("data.diff")
def run(args: argparse.Namespace) -> int:
    """Print the changes; exit code 0 whether there are any or not."""
    left, right, three_dot = _sides(args)
    versions = open_place(left, args)
    ours, theirs = versions.resolve(left.ref), versions.resolve(right.ref)
    prefix = args.prefix or as_prefix(versions, [theirs, ours], right.path or left.path)
    counts: Counter[str] = Counter()
    grown = 0
    changes = versions.diff(ours, theirs, prefix, three_dot=three_dot, depth=1 if args.partitions else None)
    for change in changes:
        counts[change.kind] += 1
        grown += (change.right.size if change.right else 0) - (change.left.size if change.left else 0)
        if args.json:
            emit(change_event(change))
        else:
            print(change_line(change, coloured()))
    if args.json:
        emit({
            "format": "mldlc.data.diff/1", "repository": left.repository, "left": ours, "right": theirs,
            "three_dot": three_dot, "prefix": prefix, "changes": counts.total(), "counts": dict(counts), "bytes": grown,
        })  # fmt: skip
    else:
        print(counts_text(counts, grown) if counts else "No difference.")
    return 0


def _sides(args: argparse.Namespace) -> tuple[Place, Place, bool]:
    """Left, right and whether from their common ancestor. DiagnosticError `bad_arguments`."""
    sides, three_dot = args.sides, args.three_dot
    found = re.fullmatch(r"(.*?)(\.\.\.?)(?!\.)(.*)", sides[0], re.DOTALL)
    if len(sides) == 1 and found is not None and "://" not in sides[0]:
        sides, three_dot = [found[1], found[3]], three_dot or found[2] == "..."
    if len(sides) == 1:
        right = parse_place(sides[0], args)
        return Place(right.repository, f"{right.ref}~1", right.path), right, three_dot
    if len(sides) != 2:
        raise fail("bad_arguments", f"command line: diff compares two versions, got {len(sides)}", hint="diff A B")
    left, right = (parse_place(side, args) for side in sides)
    if left.repository != right.repository:
        raise fail("bad_arguments", f"{left.repository} and {right.repository}: diff compares within one repository")
    paths = {text for text in (left.path, right.path, args.prefix) if text}
    if len(paths) > 1:
        raise fail(
            "bad_arguments", f"command line: {' and '.join(sorted(paths))}: diff compares one path in two versions"
        )
    return left, right, three_dot
