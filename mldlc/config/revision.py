"""Finds the config repository that `--rev` names: its commit, its folder in the repository, its place on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mldlc.config.gitrepo import SHA, is_bare, repository_around, resolve_revision, run_git
from mldlc.config.gittree import GitAddress, parse_address
from mldlc.config.manifest import MANIFEST
from mldlc.config.mirror import fetch, holds
from mldlc.plan.diagnostic import DiagnosticError, fail


def address_of(start: Path, rev: str) -> tuple[GitAddress, Path]:
    """(the pinned address of the folder with the manifest, the project root on disk).

    rev: a revision of the repository around `start`, where the nearest manifest upward counts, or a `git://` address,
    where the manifest is in the folder it names.
    """
    if rev.startswith("git://"):
        root = next((folder for folder in (start, *start.parents) if (folder / MANIFEST).is_file()), start)
        address = parse_address(rev, start)
        if address.remote:
            _fetch(address)
        pinned = replace(address, rev=_commit(address.repo, address.rev))
        if _first(pinned.repo, pinned.rev, [Path(pinned.dir)]) is None:
            raise _no_manifest(pinned.rev, pinned.repo, f"in its folder '{pinned.dir}'" if pinned.dir else "at its top")
        return pinned, root
    top = repository_around(start)
    if top is None:
        hint = f"git init, or name one: --rev git://{rev}:@<path of the repository>"
        raise fail("bad_git_source", f"command line: --rev: {start} is in no git repository", hint=hint)
    if is_bare(top):
        hint = f"go to a working folder: --rev git://{rev}:@{top}"
        raise fail("bad_git_source", f"command line: --rev: {top} is bare, outputs have no place in it", hint=hint)
    commit = _commit(top, rev)
    inside = start.relative_to(top)
    folder = _first(top, commit, [inside, *inside.parents])
    if folder is None:
        raise _no_manifest(commit, top, f"in '{inside}' or above" if inside.parts else "at its top")
    return GitAddress(commit, "" if folder == Path() else folder.as_posix(), top), top / folder


def _fetch(address: GitAddress) -> None:
    """Have the copy of a remote repository; only a full commit id says what it is without a lock."""
    if not SHA.fullmatch(address.rev):
        text = f"command line: --rev: '{address.rev}' of {address.name} can mean anything tomorrow"
        raise fail("not_locked", text, found=address.rev, hint="name a full commit id, or clone it")
    if not holds(address.name, address.rev):
        fetch(address.name, address.rev)


def _commit(repo: Path, rev: str) -> str:
    try:
        return resolve_revision(repo, rev)
    except DiagnosticError as error:
        told = [replace(item, message=f"command line: --rev: {item.message}") for item in error.diagnostics]
        raise DiagnosticError(told) from None


def _first(repo: Path, commit: str, folders: list[Path]) -> Path | None:
    """The first of the folders that has a manifest at a commit."""
    asked = "".join(f"{commit}:{(folder / MANIFEST).as_posix()}\n" for folder in folders)
    lines = run_git(repo, "cat-file", "--batch-check", stdin=asked.encode()).stdout.decode().splitlines()
    return next((folder for folder, line in zip(folders, lines, strict=False) if " blob " in line), None)


def _no_manifest(commit: str, repo: Path, place: str) -> DiagnosticError:
    hint = "a config repository has a mldlc.yaml at its root"
    return fail("no_manifest", f"command line: --rev: {repo} at {commit[:7]} has no {MANIFEST} {place}", hint=hint)
