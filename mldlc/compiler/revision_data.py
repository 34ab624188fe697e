"""Data files of a project that is read from git: those that its commit holds are laid out under outputs/cache/data."""

from __future__ import annotations

import fnmatch
import glob
import os
import posixpath
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mldlc.compiler.files import read_json, write_json
from mldlc.config.gitrepo import object_sizes, read_objects
from mldlc.config.gittree import LFS, GitAddress, GitTree, parse_address
from mldlc.plan.codec import digest
from mldlc.plan.diagnostic import Location, fail
from mldlc.plan.source import SourceRef, fixed_folder
from mldlc.store.hashing import hash_bytes
from mldlc.store.statcache import StatCache

BATCH = 64 * 1024 * 1024  # bytes of files that are held in memory at a time


def data_folder(outputs: Path) -> Path:
    """Where files of commits are laid out."""
    return outputs / "cache" / "data"


class RevisionData:
    """Finds the files of sources in a commit. rev: the pinned address of a project; root: where it lies on disk."""

    def __init__(self, rev: str, root: Path, outputs: Path) -> None:
        self.root, self.folder = root, data_folder(outputs)
        self.address = parse_address(rev, Path("/"))
        self.tree = GitTree(replace(self.address, dir=""), "")
        self.cache = StatCache(outputs / "cache" / "stat.json")

    def at(self, ref: SourceRef) -> tuple[SourceRef, str]:
        """The source with the files that the commit holds, and "" ; else as it stands in the checkout, and why.

        DiagnosticError for a file that git holds in name only: an LFS pointer, a link out of the repository.
        """
        patterns = ref.patterns or ref.paths
        inside = {pattern: self._inside(pattern) for pattern in patterns}
        if not patterns or not any(inside.values()):
            return ref, ""
        found = [name for pattern in patterns for name in self._matching(inside[pattern])]
        if not found:
            return ref, f"from the checkout: {self._why(inside[patterns[0]])}"
        base = self._lay_out({name: self._object(name) for name in found})
        folder = ref.root or (fixed_folder(patterns) if any(map(glob.has_magic, patterns)) else "")
        names = str(base / self._inside(folder)) if folder else ""
        paths = tuple(str(base / name) for name in dict.fromkeys(found))
        identity = "content" if ref.identity == "stat" else ref.identity  # the time of a copy says nothing
        return replace(ref, paths=paths, root=names, identity=identity), ""

    def restore(self, paths: Iterable[str]) -> None:
        """Lay out again what a plan read of the commit, where the copies are gone."""
        names = [Path(path).relative_to(self.folder).as_posix().partition("/")[2] for path in paths]
        self._lay_out({name: self._object(name) for name in names})

    def save(self) -> None:
        """Keep the digests of what was laid out."""
        self.cache.save()

    def _inside(self, path: str) -> str:
        """A path relative to the top of the repository, "" for one outside of it."""
        name = posixpath.normpath(posixpath.join(self.address.dir, os.path.relpath(path, self.root)))
        return "" if name.startswith(("../", "/")) or name == ".." else name

    def _matching(self, pattern: str) -> list[str]:
        if not pattern or self.tree.is_file(pattern):
            return [pattern] if pattern else []
        if not glob.has_magic(pattern):
            return []
        parts = pattern.split("/")
        return sorted(name for name in self.tree.files() if _fits(name.split("/"), parts))

    def _object(self, name: str) -> str:
        found = self.tree.object_of(name)
        if found is None:
            raise fail("bad_git_source", "is a link to no file", where=Location(self.tree.where(name)))
        return found

    def _why(self, name: str) -> str:
        commit = self.address.rev[:7]
        module = next((path for path in _above(name) if self.tree.is_submodule(path)), "")
        return f"{module} is a submodule at {commit}" if module else f"git holds no {name} at {commit}"

    def _lay_out(self, objects: Mapping[str, str]) -> Path:
        """A folder with these files (name -> object) as they are in git; equal ones of two revisions are one folder."""
        folder = self.folder
        base = folder / digest(sorted(objects.items()))[:32]
        known = read_json(folder / f"{base.name}.json")
        if set(known) == set(objects) and all(self._is(base / name, content) for name, content in known.items()):
            return base
        folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".copy-", dir=folder))
        try:
            contents = {}
            for name, data in _read(self.address, objects):
                if data.startswith(LFS):
                    hint = "run it from a checkout that has the file: without --rev"
                    where = Location(self.tree.where(name))
                    raise fail("bad_git_source", "is a Git LFS pointer, git holds no data", where=where, hint=hint)
                copy = aside / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(data)
                contents[name] = hash_bytes(data)
            aside.chmod(0o755)
            shutil.rmtree(base, ignore_errors=True)  # somebody edited the copy
            aside.rename(base)
            write_json(folder / f"{base.name}.json", contents)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return base

    def _is(self, path: Path, content: str) -> bool:
        return path.is_file() and self.cache.file_digest(path) == content


def _read(address: GitAddress, objects: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of files, some at a time."""
    sizes = object_sizes(address.repo, list(objects.values()))
    batch: list[tuple[str, str]] = []
    weight = 0
    for name, oid in objects.items():
        if batch and weight + sizes.get(oid, 0) > BATCH:
            yield from read_objects(address.repo, batch).items()
            batch, weight = [], 0
        batch.append((name, oid))
        weight += sizes.get(oid, 0)
    yield from read_objects(address.repo, batch).items()


def _above(name: str) -> Iterable[str]:
    parts = name.split("/")
    return ("/".join(parts[:end]) for end in range(1, len(parts) + 1))


def _fits(name: list[str], pattern: list[str]) -> bool:
    """Whether a path matches a pattern as `glob` reads it: `*` stays in a folder and takes no hidden name."""
    if not pattern:
        return not name
    if pattern[0] == "**":
        return _fits(name, pattern[1:]) or (bool(name) and not name[0].startswith(".") and _fits(name[1:], pattern))
    if not name or (name[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatch.fnmatchcase(name[0], pattern[0]) and _fits(name[1:], pattern[1:])
