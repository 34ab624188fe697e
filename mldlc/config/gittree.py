"""Config files of a git revision: `git://<rev>:<dir>@<repository>`; nothing is checked out."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from mldlc.config.gitrepo import object_sizes, read_objects, resolve_revision, run_git
from mldlc.config.mirror import check_url, is_remote, mirror_of
from mldlc.config.tree import decode
from mldlc.plan.diagnostic import DiagnosticError, Location, did_you_mean, fail

_ADDRESS = re.compile(r"git://(?P<rev>[^:]+):(?P<dir>[^@]*)@(?P<repo>.+)", re.S)
LFS = b"version https://git-lfs.github.com/spec/"
FORM = "git://<revision>:<folder>@<path or URL of the repository>"
SUBMODULE, LINK = "160000", "120000"


@dataclass(frozen=True)
class GitAddress:
    """A parsed `git://<rev>:<dir>@<repository>`; `repo` is absolute, `dir` is "" for the top of the repository.

    name: the repository as written, where that was not a path relative to the project. Of a remote one, `repo` is the
    copy.
    """

    rev: str
    dir: str
    repo: Path
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"git://{self.rev}:{self.dir}@{self.name if self.remote else self.repo}"

    @property
    def remote(self) -> bool:
        """Whether the repository has to be fetched."""
        return is_remote(self.name)


def parse_address(text: str, root: Path) -> GitAddress:
    """Parse a git config source; a relative repository starts at `root`. DiagnosticError on a bad address."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise fail("bad_git_source", f"'{text}' is not a git config source", hint=f"expected {FORM}")
    folder = posixpath.normpath(match["dir"]) if match["dir"] else ""
    if folder.startswith(("..", "/")) or ".." in match["dir"].split("/"):
        raise fail(
            "bad_git_source", f"the folder of '{text}' leaves the repository", hint="write it without '..' or '/'"
        )
    repo = match["repo"]
    if is_remote(repo):
        check_url(repo)
        return GitAddress(match["rev"], "" if folder == "." else folder, mirror_of(repo), repo)
    path = Path(os.path.normpath(root / repo))
    return GitAddress(match["rev"], "" if folder == "." else folder, path, repo if repo.startswith("/") else "")


class GitTree:
    """Config files under a folder of one commit. `.yaml` blobs are fetched at once, on the first read.

    label: how messages name the folder; `<first digits of the commit>:<folder>` after it is what `git show` takes.
    """

    def __init__(self, address: GitAddress, label: str | None = None) -> None:
        self.address = address
        self.commit = resolve_revision(address.repo, address.rev)
        self.label = f"{address.repo}@" if label is None else label
        self._entries, self._blobs = _load(address.repo, self.commit, address.dir)
        self._dirs = {parent for path in self._entries for parent in _parents(path)}

    @property
    def available(self) -> bool:
        """Always: a missing folder is an error when the tree is opened."""
        return True

    def read(self, path: str) -> str | None:
        """Text of a file, None when there is none; an error for what git keeps elsewhere (LFS, submodules, links)."""
        data = self.read_bytes(path)
        return None if data is None else decode(data, self.where(path))

    def read_bytes(self, path: str) -> bytes | None:
        """Bytes of a file, as `read`."""
        found = self._follow(posixpath.normpath(path), path)
        if found is None:
            return None
        if found not in self._blobs:
            self._blobs |= read_objects(self.address.repo, [(found, self._entries[found][1])])
        data = self._blobs[found]
        if data.startswith(LFS):
            raise self._unfit(path, "is a Git LFS pointer, its text is not in the repository")
        return data

    def is_file(self, path: str) -> bool:
        """Whether `path` is a file or a link; an error when its folder is a link out of this one."""
        path = posixpath.normpath(path)
        folder, _, name = path.rpartition("/")
        entry = self._entries.get(path) or self._entries.get(posixpath.join(self._linked(folder, path), name))
        return entry is not None and entry[0] != SUBMODULE

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a folder, or a link to one. One that leads out is none until a file in it is asked for."""
        path = posixpath.normpath(path) if path else ""
        if self._entries.get(path, ("", ""))[0] == SUBMODULE:
            raise self._unfit(path, "is a submodule, its files are in another repository")
        try:
            return path in ("", ".") or self._linked(path, path) in self._dirs
        except DiagnosticError:
            return False

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted."""
        prefix = "" if path in ("", ".") else self._linked(posixpath.normpath(path), path) + "/"
        return sorted({p[len(prefix) :].split("/", 1)[0] for p in self._entries if p.startswith(prefix)})

    def read_all(self, wanted: Callable[[str, int], bool]) -> dict[str, bytes]:
        """Every file below the folder that is `wanted(name, size)`, by one git process; links are followed."""
        sizes = object_sizes(self.address.repo, [oid for mode, oid in self._entries.values() if mode != SUBMODULE])
        names = [name for name, (_, oid) in self._entries.items() if wanted(name, sizes.get(oid, 0))]
        missing = [(name, self._entries[name][1]) for name in names if name not in self._blobs]
        self._blobs |= read_objects(self.address.repo, [pair for pair in missing if pair[1] in sizes])
        found = {name: self.read_bytes(name) for name in sorted(names)}
        return {name: data for name, data in found.items() if data is not None}

    def files(self) -> list[str]:
        """Every file below the folder, links among them."""
        return [path for path, (mode, _) in self._entries.items() if mode != SUBMODULE]

    def object_of(self, path: str) -> str | None:
        """The object of a file, links followed; None where they lead to none."""
        found = self._follow(posixpath.normpath(path), path)
        return self._entries[found][1] if found is not None else None

    def is_submodule(self, path: str) -> bool:
        """Whether `path` is another repository."""
        return self._entries.get(path, ("", ""))[0] == SUBMODULE

    def where(self, path: str) -> str:
        """The name of a file in messages."""
        return f"{self.label}{self.commit[:7]}:{posixpath.join(self.address.dir, path)}"

    def _follow(self, path: str, asked: str) -> str | None:
        path = self._linked(path, asked)
        mode = self._entries.get(path, ("", ""))[0]
        if mode == SUBMODULE:
            raise self._unfit(asked, "is a submodule, its files are in another repository")
        return path if mode else None

    def _linked(self, path: str, asked: str) -> str:
        """`path` with the links followed that it is, or goes through; an error where one leads out of the folder."""
        first = ""
        for _ in range(8):
            if path.startswith("../") or path == "..":
                raise self._unfit(asked, "leaves the folder of the config source")
            link = next((p for p in (*_parents(path), path) if self._entries.get(p, ("", ""))[0] == LINK), None)
            if link is None:
                return path
            first = first or link
            target = self._blobs.get(link, b"").decode("utf-8", "replace")
            to = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
            if to.startswith(("../", "/")) or to == "..":
                message = f"is a symbolic link out of {self.address.dir or 'the repository'} (to '{target}')"
                raise self._unfit(first, message)
            path = posixpath.normpath(to + path[len(link) :])
        raise self._unfit(asked, "is a loop of symbolic links")

    def _unfit(self, path: str, message: str) -> DiagnosticError:
        return fail("bad_git_source", message, where=Location(self.where(path)))


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


@lru_cache(maxsize=64)
def _load(repo: Path, commit: str, folder: str) -> tuple[dict[str, tuple[str, str]], dict[str, bytes]]:
    """Entries (path -> mode and object) and blobs of the YAML files and links under a folder of a commit."""
    done = run_git(repo, "ls-tree", "-r", "-z", "--full-tree", f"{commit}:{folder}")
    if done.returncode:
        raise _no_folder(repo, commit, folder)
    entries: dict[str, tuple[str, str]] = {}
    wanted: list[tuple[str, str]] = []
    for line in done.stdout.split(b"\0")[:-1]:
        facts, _, raw = line.partition(b"\t")
        mode, _, oid = facts.decode().split(" ")
        path = raw.decode("utf-8", "surrogateescape")
        entries[path] = mode, oid
        if mode == LINK or (mode != SUBMODULE and path.endswith(".yaml")):
            wanted.append((path, oid))
    return entries, read_objects(repo, wanted)


def _no_folder(repo: Path, commit: str, folder: str) -> DiagnosticError:
    """No such folder, or something else under its name: what is near."""
    kind = run_git(repo, "ls-tree", "--full-tree", commit, "--", folder).stdout.split(b" ")
    if kind[0] in (SUBMODULE.encode(), LINK.encode()):
        what = "a submodule" if kind[0] == SUBMODULE.encode() else "a symbolic link"
        return fail("bad_git_source", f"'{folder}' in {repo} at {commit[:12]} is {what}, not a folder")
    if kind[0] and folder:
        return fail("bad_git_source", f"'{folder}' in {repo} at {commit[:12]} is a file, not a folder")
    done = run_git(repo, "ls-tree", "-r", "-d", "--name-only", "-z", "--full-tree", commit)
    names = [name.decode("utf-8", "replace") for name in done.stdout.split(b"\0")[:-1]]
    hint = did_you_mean(folder, names) or (f"folders: {', '.join(names[:8])}" if names else "")
    return fail(
        "bad_git_source", f"no folder '{folder}' in {repo} at {commit[:12]}", allowed=tuple(names[:100]), hint=hint
    )
