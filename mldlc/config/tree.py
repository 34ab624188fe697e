"""Where config files come from: a folder on disk, or (in gittree.py) a folder of a git revision. Reads are recorded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location


def digest(data: bytes) -> str:
    """The digest under which a config file is recorded: blake2b, 32 bytes, hex."""
    return blake2b(data, digest_size=32).hexdigest()


@dataclass(frozen=True)
class Pin:
    """The commit that a revision of a repository stood for.

    name: the repository as the config names it, relative to the project. moving: it follows a branch or HEAD. locked:
    `mldlc.lock` says so. where: the place in the config that asks for it, None for `hydra.searchpath`.
    """

    rev: str
    repo: Path
    name: str
    commit: str
    moving: bool = False
    locked: bool = False
    where: Location | None = None

    def held(self) -> list[str]:
        """[repository, revision, commit]: what a cache must find again. A locked branch may move."""
        return [str(self.repo), self.commit if self.locked else self.rev, self.commit]


@dataclass
class Ledger:
    """What a composition looked at, so that a cache can tell whether to trust its result.

    files: absolute path -> digest; a path that ends in "/" is a folder whose listing was used. missing: absolute paths
    that were probed and absent. links: absolute path of a folder -> where it leads (`leads_to`). pins: git revisions
    that were read. unkeyed: what was read that none of these can tell of; nothing that rests on it may be kept.
    """

    files: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    links: dict[str, str] = field(default_factory=dict)
    pins: dict[str, Pin] = field(default_factory=dict)
    unkeyed: set[str] = field(default_factory=set)

    def copy(self) -> Ledger:
        """A ledger that goes on from here."""
        return Ledger(dict(self.files), set(self.missing), dict(self.links), dict(self.pins), set(self.unkeyed))

    def refs(self) -> dict[str, str]:
        """`rev@repository` -> commit for every revision that is not a commit itself."""
        return {key: pin.commit for key, pin in sorted(self.pins.items()) if pin.rev != pin.commit}

    def follow(self, folder: str | Path) -> None:
        """Note where a folder leads, and whether it is one."""
        self.links[str(folder)] = leads_to(folder)

    def note(self, *paths: str) -> None:
        """Note files that something else read, or found absent."""
        for path in paths:
            found = fingerprint(path)
            if found:
                self.files[path] = found
            else:
                self.missing.add(path)


class Tree(Protocol):
    """A folder of config files; paths are relative, with "/" and extension."""

    @property
    def available(self) -> bool: ...
    def read(self, path: str) -> str | None: ...
    def is_file(self, path: str) -> bool: ...
    def is_dir(self, path: str) -> bool: ...
    def names(self, path: str) -> list[str]: ...
    def where(self, path: str) -> str: ...


def shown(path: Path, root: Path, shipped: Path | None) -> str:
    """How messages name a config folder: relative to the project, `mldlc:conf` for the shipped one, else absolute."""
    if path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    if shipped is not None and path == shipped:
        return "mldlc:conf"
    near = Path(os.path.relpath(path, root))
    return near.as_posix() if near.parts.count("..") <= 2 else path.as_posix()


def decode(data: bytes, where: str) -> str:
    """Text of a config file; an error with the line when it is not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"not UTF-8 text (byte {data[error.start]:#04x})"
        raise DiagnosticError([Diagnostic("broken_yaml", message, where=Location(where, line))]) from error


class FolderTree:
    """Config files of a folder on disk."""

    def __init__(self, folder: Path, label: str, ledger: Ledger | None = None) -> None:
        self.folder = folder
        self.label = label
        self.ledger = ledger or Ledger()

    @property
    def available(self) -> bool:
        """Whether the folder exists; where it leads is recorded."""
        self.ledger.follow(self.folder)
        return self.is_dir("")

    def read(self, path: str) -> str | None:
        """Text of a file, None when there is none."""
        full = self._full(path)
        try:
            data = Path(full).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            self.ledger.missing.add(full)
            return None
        except OSError as error:
            message = f"cannot be read: {error.strerror}"
            raise DiagnosticError([Diagnostic("unreadable", message, where=Location(self.where(path)))]) from error
        self.ledger.files[full] = digest(data)
        return decode(data, self.where(path))

    def is_file(self, path: str) -> bool:
        """Whether `path` is a file; its absence is recorded."""
        full = self._full(path)
        found = Path(full).is_file()
        if not found and not Path(full).is_dir():
            self.ledger.missing.add(full)
        return found

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a folder; its absence is recorded."""
        full = self._full(path)
        found = Path(full).is_dir()
        if not found and not Path(full).is_file():
            self.ledger.missing.add(full)
        return found

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted; the listing is recorded."""
        full = self._full(path)
        try:
            found = sorted(entry.name for entry in os.scandir(full))
        except OSError:
            self.ledger.missing.add(full)
            return []
        self.ledger.files[full.rstrip("/") + "/"] = listing_digest(found)
        return found

    def where(self, path: str) -> str:
        """The name of a file in messages."""
        return path if self.label in ("", ".") else f"{self.label}/{path}"

    def _full(self, path: str) -> str:
        return os.path.normpath(self.folder / path)


def leads_to(path: str | Path) -> str:
    """Where a path leads, links followed; it ends in "/" when that is a folder."""
    real = os.path.realpath(path)
    return f"{real}/" if Path(real).is_dir() else real


def listing_digest(names: list[str]) -> str:
    """Digest of a folder's listing (names only)."""
    return digest("\0".join(names).encode())


def fingerprint(path: str) -> str:
    """The present digest of a path of `Ledger.files`, "" when it is gone: equal means unchanged."""
    if path.endswith("/"):
        try:
            return listing_digest(sorted(entry.name for entry in os.scandir(path)))
        except OSError:
            return ""
    try:
        return digest(Path(path).read_bytes())
    except OSError:
        return ""


def unchanged(files: dict[str, str], missing: Iterable[str], inputs: dict[str, str | None]) -> bool:
    """Whether all that a composition looked at (files, absent paths, environment) is as it was. Git is pinned."""
    return (
        all(fingerprint(path) == found for path, found in files.items() if not path.startswith("git://"))
        and not any(os.path.lexists(path) for path in missing if not path.startswith("git://"))
        and all(os.environ.get(name) == value for name, value in inputs.items())
    )
