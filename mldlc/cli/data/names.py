"""What `data tag` and `data branch` share: list, make or delete a name for a commit."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Literal

from mldlc.cli.data.place import MAIN, SHORT, Place, open_place, parse_place, repository_arguments
from mldlc.cli.frame import emit
from mldlc.cli.views.data_text import commit_event, ref_lines
from mldlc.cli.views.style import coloured
from mldlc.plan.diagnostic import fail
from mldlc.plan.versions import Commit, Versions, VersionsError

Kind = Literal["tag", "branch"]
PLURAL = {"tag": "tags", "branch": "branches"}


def name_arguments(parser: argparse.ArgumentParser, kind: Kind) -> None:
    """Flags of `mldlc data tag` and `mldlc data branch`."""
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help=f"the {kind}; none: list all")
    parser.add_argument("ref", nargs="?", default="", metavar="REF", help="make it at this ref (main)")
    parser.add_argument(
        "-d", "--delete", action="store_true", help=f"delete the {kind}; its commits stay reachable by id"
    )
    repository_arguments(parser)


def run_names(args: argparse.Namespace, kind: Kind) -> int:
    """List, make or delete."""
    place = parse_place(args.ref or MAIN, args)
    if place.path:
        raise fail("bad_arguments", f"command line: a {kind} is for a whole commit, not for '{place.path}'")
    if args.delete and (args.ref or not args.name):
        raise fail("bad_arguments", f"command line: -d takes one {kind}", hint=f"mldlc data {kind} -d NAME")
    versions = open_place(place, args)
    if not args.name:
        return _list(versions, place, args, kind)
    known = _known(versions, kind)
    if args.delete:
        (versions.delete_tag if kind == "tag" else versions.delete_branch)(args.name)
        return _tell(args, kind, place, "deleted", args.name, known.get(args.name, ""))
    commit = versions.resolve(place.ref)
    (versions.tag if kind == "tag" else versions.branch)(args.name, commit)
    return _tell(args, kind, place, "unchanged" if known.get(args.name) == commit else "made", args.name, commit)


def _known(versions: Versions, kind: Kind) -> dict[str, str]:
    return versions.tags() if kind == "tag" else versions.branches()


def _list(versions: Versions, place: Place, args: argparse.Namespace, kind: Kind) -> int:
    from mldlc.store.durable import each

    def read(id: str) -> Commit | None:
        try:
            return versions.commit(id)
        except VersionsError:  # damaged: verify tells, and the others are still worth a line
            return None

    refs = _known(versions, kind)
    found: Mapping[str, Commit | None] = dict(zip(refs, each(read, list(refs.values())), strict=True))
    if args.json:
        for name, commit in found.items():
            emit({"type": kind, "name": name, **(commit_event(commit) if commit else {"commit": refs[name]})})
        emit({"format": f"mldlc.data.{kind}/1", "repository": place.repository, PLURAL[kind]: len(found)})
    else:
        print("\n".join(ref_lines(found, coloured())) if found else f"no {PLURAL[kind]}")
    return 0


def _tell(args: argparse.Namespace, kind: Kind, place: Place, status: str, name: str, commit: str) -> int:
    if args.json:
        emit({
            "format": f"mldlc.data.{kind}/1", "repository": place.repository, "status": status,
            "name": name, "commit": commit,
        })  # fmt: skip
    else:
        word = {"deleted": "deleted; it was", "unchanged": "is already", "made": "is"}[status]
        print(f"{kind} {name} {word} at {commit[:SHORT]}")
    return 0
