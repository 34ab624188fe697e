"""Take files out of a branch: one commit. Older commits keep them; `mldlc data revert` brings them back."""

from __future__ import annotations

import argparse

from mldlc.cli.data.change import change_arguments, parse_metadata, publish_change
from mldlc.cli.data.place import check_branch_exists, open_place, parse_place, repository_arguments, select
from mldlc.cli.data.refusals import reported
from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Draft


def arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mldlc data rm`."""
    parser.add_argument("place", metavar="BRANCH:PATH", help="a file; with -r a folder; or a glob")
    parser.add_argument("-r", "--recursive", action="store_true", help="a folder with all below it")
    change_arguments(parser)
    repository_arguments(parser)


@reported("data.rm")
def run(args: argparse.Namespace) -> int:
    """Take the files out."""
    place = parse_place(args.place, args)
    parse_metadata(args.meta)
    if not place.path:
        raise fail("bad_arguments", f"command line: {args.place}: which file?", hint=f"{place.ref}:PATH")
    versions = open_place(place, args)
    check_branch_exists(versions, place.ref)
    found, folder = select(versions, versions.resolve(place.ref), place)
    whole = place.path.rstrip("/") == folder.rstrip("/")
    if whole and not args.recursive:
        raise fail("bad_arguments", f"command line: {place} is a folder", hint="take it out with -r")
    names = [entry.path for entry in found]

    def work(draft: Draft) -> None:
        for name in [folder] if whole else names:
            draft.remove(name)

    text = names[0] if len(names) == 1 else f"{len(names)} files of {place.path}"
    return publish_change(versions, place, args, "data.rm", args.message or f"Remove {text}", work)
