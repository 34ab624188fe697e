"""Places in versioned data as a command names them: REF, REF:PATH or a full address; and the repository behind one."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mldlc.cli.frame import outputs_argument, outputs_of
from mldlc.plan.diagnostic import DiagnosticError, did_you_mean, fail
from mldlc.plan.versions import Entry, PathNotFound, Versions

MAIN = "main"
STORE = "store://"
SHORT = 12  # digits of a commit id, as they are shown
SHOWN = 5  # names in a hint


@dataclass(frozen=True)
class Place:
    """One place. repository: `store://` or `lakefs://<repo>`. path: "" for all of the ref."""

    repository: str
    ref: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.ref}:{self.path}" if self.path else self.ref

    def address(self, commit: str = "") -> str:
        """The full address, at a commit when one is given."""
        ref = commit or self.ref
        return f"{self.repository}{'' if self.repository == STORE else '@'}{ref}/{self.path}"


def repository_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every verb: --repo, --json, --outputs."""
    parser.add_argument("--repo", default="", metavar="URI", help="store:// (default) or lakefs://NAME")
    parser.add_argument("--json", action="store_true", help="NDJSON on stdout, text on stderr")
    outputs_argument(parser)


def repository_of(args: argparse.Namespace) -> str:
    """The repository that --repo names. DiagnosticError `bad_address`."""
    text = args.repo or STORE
    if text.rstrip("/:") == "store":
        return STORE
    if not re.fullmatch(r"lakefs://[^/@:]+/?", text):
        raise fail("bad_address", f"command line: --repo {text}: no repository", hint="store:// or lakefs://NAME")
    return text.rstrip("/")


def parse_place(text: str, args: argparse.Namespace) -> Place:
    """Read REF, REF:PATH or an address; no ref is main. DiagnosticError `bad_address`."""
    repository = repository_of(args)
    if "://" not in text:
        ref, _, path = text.partition(":")
        return Place(repository, ref or MAIN, path.lstrip("/"))
    from mldlc.store.repository import is_versioned, parse_address

    if not is_versioned(text):
        hint = "REF:PATH, store://REF/PATH or lakefs://NAME@REF/PATH"
        raise fail("bad_address", f"'{text}' is no place in versioned data", found=text, hint=hint)
    found = parse_address(text)
    if args.repo and found.repository != repository:
        raise fail("bad_address", f"command line: '{text}' is not in --repo {repository}", hint="leave out --repo")
    return Place(found.repository, found.ref, found.path.lstrip("/"))


def open_place(place: Place, args: argparse.Namespace, *, create: bool = False) -> Versions:
    """The repository of a place. DiagnosticError `no_store`, `missing_package`."""
    from mldlc.store.repository import open_repository

    return open_repository(place.repository, outputs_of(args), create=create)


def check_branch_exists(versions: Versions, name: str) -> None:
    """DiagnosticError `no_branch` with the nearest name: what is written goes to branches only."""
    names = versions.branches()
    if name not in names:
        hint = did_you_mean(name, names) or f"make it: mldlc data branch {name} main"
        raise fail("no_branch", f"there is no branch '{name}'", found=name, allowed=tuple(names), hint=hint)


def children(versions: Versions, commit: str, folder: str) -> Iterator[Entry | str]:
    """Files directly in a folder ("" or ending with "/"), and its folders with a "/", by path; jumps over folders."""
    after, more = "", True
    while more:
        more = False
        for entry in versions.entries(commit, folder, after=after):
            name, slash, _ = entry.path[len(folder) :].partition("/")
            if not slash:
                yield entry
                continue
            yield f"{folder}{name}/"
            after, more = f"{folder}{name}/\U0010ffff", True
            break


def as_prefix(versions: Versions, commits: Iterable[str], path: str) -> str:
    """The prefix for a path that a user wrote: `raw` is `raw/` where one of the commits has such a folder."""
    if path and not path.endswith("/"):
        for commit in commits:
            if next(versions.entries(commit, f"{path}/"), None) is not None:
                return f"{path}/"
    return path


def select(versions: Versions, commit: str, place: Place) -> tuple[Iterator[Entry], str]:
    """The files of a place, and what their paths begin with that is not kept in a copy: a file, a folder or a glob.

    DiagnosticError `path_not_found` with the nearest name.
    """
    path = place.path
    if path and not path.endswith("/"):
        try:
            return iter([versions.entry(commit, path)]), path.rpartition("/")[0] + ("/" if "/" in path else "")
        except PathNotFound:
            pass
    from mldlc.store.versions.globs import compile_glob, literal_prefix

    start = literal_prefix(path)
    if start != path:
        matches = compile_glob(path)
        found: Iterator[Entry] = (entry for entry in versions.entries(commit, start) if matches(entry.path))
        folder = start[: start.rfind("/") + 1]
    else:
        folder = path if not path or path.endswith("/") else f"{path}/"
        found = versions.entries(commit, folder)
    first = next(found, None)
    if first is None and path:
        raise _no_path(versions, commit, place)
    return _chain(first, found), folder


def _chain(first: Entry | None, rest: Iterator[Entry]) -> Iterator[Entry]:
    if first is not None:
        yield first
        yield from rest


def _no_path(versions: Versions, commit: str, place: Place) -> DiagnosticError:
    """The error for a path that is not there: the deepest folder that is, and the nearest name in it."""
    folder, parts = "", place.path.rstrip("/").split("/")
    while True:
        names = [_name(item, folder) for item, _ in zip(children(versions, commit, folder), range(1000), strict=False)]
        if len(parts) < 2 or f"{parts[0]}/" not in names:
            break
        folder, parts = f"{folder}{parts[0]}/", parts[1:]
    near = did_you_mean(parts[0], [name.rstrip("/") for name in names])
    if near:
        hint = near
    elif names:
        hint = f"{folder or place.ref} has {', '.join(names[:SHOWN])}" + (", …" if len(names) > SHOWN else "")
    else:
        hint = "it has no files yet"
    message = f"{place.ref} ({commit[:SHORT]}) has no '{place.path}'"
    return fail("path_not_found", message, found=place.path, allowed=tuple(names[:SHOWN]), hint=hint)


def _name(item: Entry | str, folder: str) -> str:
    return (item if isinstance(item, str) else item.path)[len(folder) :]
