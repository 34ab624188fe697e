"""The config search path of a repository: its own folders, then what it extends, on disk or at git revisions."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from mldlc.config.gittree import FORM, GitAddress, GitTree
from mldlc.config.manifest import MANIFEST, Manifest, Text
from mldlc.config.mirror import is_remote
from mldlc.config.repositories import Repositories
from mldlc.config.tree import FolderTree
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, fail


class Place(Protocol):
    """A folder that a manifest may stand in."""

    @property
    def identity(self) -> object: ...
    @property
    def base(self) -> Path: ...
    def read(self, name: str) -> str | None: ...
    def where(self, name: str) -> str: ...
    def has_folder(self, path: str) -> bool: ...
    def address(self, path: str) -> str: ...
    def beside(self, path: str) -> Place | None: ...


@dataclass(frozen=True)
class DiskPlace:
    """A folder on disk; what was read of it is noted."""

    tree: FolderTree
    repositories: Repositories

    @property
    def identity(self) -> object:
        """Equal for equal places."""
        return self.base

    @property
    def base(self) -> Path:
        """Where relative repositories start."""
        return self.tree.folder

    def read(self, name: str) -> str | None:
        """Text of a file of the folder."""
        return self.tree.read(name)

    def where(self, name: str) -> str:
        """Its name in messages."""
        return self.tree.where(name)

    def has_folder(self, path: str) -> bool:
        """Whether a relative path is a folder."""
        folder = self.base / path
        self.repositories.ledger.follow(folder)
        return self.tree.is_dir(path)

    def address(self, path: str) -> str:
        """The search path entry of a folder."""
        return str((self.base / path).resolve())

    def beside(self, path: str) -> Place | None:
        """The place at a relative path, None when there is no such folder."""
        return disk_place((self.base / path).resolve(), self.repositories) if self.has_folder(path) else None


@dataclass(frozen=True)
class GitPlace:
    """A folder of a commit."""

    at: GitAddress
    tree: GitTree
    repositories: Repositories

    @property
    def identity(self) -> object:
        """Equal for equal places."""
        return self.at

    @property
    def base(self) -> Path:
        """Where relative repositories start: as if the commit were checked out."""
        return self.at.repo / self.at.dir

    def read(self, name: str) -> str | None:
        """Text of a file of the folder."""
        return self.tree.read(name)

    def where(self, name: str) -> str:
        """Its name in messages."""
        return self.tree.where(name)

    def has_folder(self, path: str) -> bool:
        """Whether a relative path is a folder of the commit."""
        inside = posixpath.normpath(posixpath.join(self.at.dir, path))
        if inside.startswith(("../", "/")) or inside == "..":
            return False
        if posixpath.normpath(path).startswith(".."):
            try:
                return bool(self.repositories.open_at(replace(self.at, dir="" if inside == "." else inside)))
            except DiagnosticError:
                return False
        return self.tree.is_dir(path)

    def address(self, path: str) -> str:
        """The search path entry of a folder."""
        inside = posixpath.normpath(posixpath.join(self.at.dir, path))
        return str(replace(self.at, dir="" if inside == "." else inside))

    def beside(self, path: str) -> Place | None:
        """The place at a relative path of the same commit, None when there is no such folder."""
        if not self.has_folder(path):
            return None
        inside = posixpath.normpath(posixpath.join(self.at.dir, path))
        there = replace(self.at, dir="" if inside == "." else inside)
        return GitPlace(there, self.repositories.open_at(there), self.repositories)


def disk_place(folder: Path, repositories: Repositories) -> DiskPlace:
    """A folder on disk, named in messages relative to the project."""
    label = os.path.relpath(folder, repositories.root)
    return DiskPlace(FolderTree(folder, "" if label == "." else label, repositories.ledger), repositories)


class SearchPath:
    """Works out a search path and collects what is wrong on the way."""

    def __init__(self, repositories: Repositories) -> None:
        self.repositories = repositories
        self.errors: list[Diagnostic] = []

    def manifest(self, place: Place) -> Manifest:
        """The manifest of a place that has one."""
        return Manifest(place.read(MANIFEST) or "", place.where(MANIFEST), self.errors)

    def add(self, code: str, message: str, item: Text, **fields: Any) -> None:
        """Note a mistake at its place."""
        self.errors.append(Diagnostic(code, message, where=item.where, **fields))

    def no_folder(self, key: str, place: Place, item: Text) -> None:
        """Note that a folder is not there; an empty one on disk is in no commit."""
        at = f" at {place.at.rev[:7]}" if isinstance(place, GitPlace) else ""
        hint = f"write {FORM}" if is_remote(item.value) else "git keeps no empty folder" if at else ""
        self.add("missing_folder", f"{key}: no folder '{item.value}'{at}", item, hint=hint)

    def of(self, place: Place, read: Manifest, around: tuple[Place, ...]) -> list[str]:
        """Search path entries of a repository: `conf:`, then `extends:`. around: the places that led here."""
        found: list[str] = []
        conf = read.texts("conf")
        for item in conf:
            if item.value.startswith("git://"):
                found += self._extended(item, place, around)
            elif place.has_folder(item.value):
                found.append(place.address(item.value))
            else:
                self.no_folder("conf", place, item)
        if not conf and place.has_folder("conf"):
            found.append(place.address("conf"))
        for item in read.texts("extends"):
            found += self._extended(item, place, around)
        return found

    def _extended(self, item: Text, place: Place, around: tuple[Place, ...]) -> list[str]:
        """Config folders of one entry: a folder of configs, or another config repository (without its code)."""
        try:
            there = self._place(item, place)
            text = None if there is None else there.read(MANIFEST)
        except DiagnosticError as error:
            self.errors += [replace(found, where=found.where or item.where) for found in error.diagnostics]
            return []
        if there is None:
            self.no_folder("extends", place, item)
            return []
        if text is None:
            return [there.address("")]
        if any(there.identity == other.identity for other in around):
            self.add("cycle", f"extends: '{item.value}' extends this repository again", item)
            return []
        return self.of(there, Manifest(text, there.where(MANIFEST), self.errors), (*around, there))

    def _place(self, item: Text, place: Place) -> Place | None:
        if not item.value.startswith("git://"):
            return place.beside(item.value)
        address = self.repositories.parse(item.value, place.base)
        if isinstance(place, GitPlace) and place.at.remote and not address.name:
            hint = "write its URL there"
            raise fail("bad_git_source", f"'{item.value}' starts at a repository that is fetched", hint=hint)
        at = self.repositories.pinned(address, item.where)
        return GitPlace(at, self.repositories.open_at(at), self.repositories)
