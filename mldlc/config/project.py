"""The config repository: its root, its config search path and its code roots, from `mldlc.yaml`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from mldlc.config.extends import GitPlace, Place, SearchPath, disk_place
from mldlc.config.gittree import GitAddress
from mldlc.config.lock import LOCK, Lock, parse_lock
from mldlc.config.manifest import MANIFEST
from mldlc.config.repositories import Repositories
from mldlc.config.revision import address_of
from mldlc.config.tree import FolderTree, Ledger, Tree
from mldlc.plan.diagnostic import DiagnosticError


@dataclass(frozen=True)
class Project:
    """A config repository.

    conf: config search path in order of precedence (absolute folders or `git://` sources at full shas): the
    repository's own, what it extends, plugin packages, shipped. code: folders whose modules its configs may name.
    manifest: its `mldlc.yaml`, None without one. revision: the commit that all of it is read from, None for the files
    on disk. refresh: whether what the lock does not pin is asked for anew. seen: what finding all this looked at.
    """

    root: Path
    conf: tuple[str, ...]
    code: tuple[Path, ...]
    manifest: Path | None
    name: str
    revision: GitAddress | None = None
    lock: Lock = field(default_factory=Lock)
    refresh: bool = False
    seen: Ledger = field(default_factory=Ledger, compare=False)

    def repositories(self, ledger: Ledger) -> Repositories:
        """The git revisions that a composition of this project reads, noted in `ledger`."""
        own = self.revision.repo if self.revision else None
        return Repositories(self.root, self.lock, ledger, own, refresh=self.refresh)


def shipped_conf() -> Path:
    """The config groups of the package: inside the wheel, or beside the package in a source checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "_conf"
    return inside if inside.is_dir() else package.parent / "conf"


@cache
def plugin_conf() -> tuple[str, ...]:
    """Config folders of installed packages: entry points `mldlc.conf`, value `package.folder`, not imported."""
    folders = []
    for entry in sorted(importlib.metadata.entry_points(group="mldlc.conf"), key=lambda entry: entry.name):
        top, _, rest = entry.value.partition(".")
        spec = importlib.util.find_spec(top)
        for base in (spec.submodule_search_locations or ()) if spec else ():
            folders.append(str(Path(base, *rest.split(".")) if rest else Path(base)))
    return tuple(folders)


def find_project(start: Path, *, repin: tuple[str, ...] | None = None) -> Project:
    """The project of a folder: that of the nearest `mldlc.yaml` upward, else the folder with the shipped configs only.

    repin: the names in `mldlc.lock` that do not count any more, () for all of it, None where it holds. Raises
    DiagnosticError with every mistake of the manifest.
    """
    start = start.resolve()
    root = next((folder for folder in (start, *start.parents) if (folder / MANIFEST).is_file()), start)
    ledger = Ledger()
    tree = FolderTree(root, "", ledger)
    lock = Lock() if repin == () else _lock(tree).without(repin or ())
    repositories = Repositories(root, lock, ledger, refresh=repin is not None)
    if not tree.is_file(MANIFEST):
        return Project(start, _with_shipped(()), (), None, start.name, None, lock, repin is not None, ledger)
    return _from_manifest(disk_place(root, repositories), repositories, root / MANIFEST, None)


def project_at(start: Path, rev: str) -> Project:
    """The project as it was in a revision of the repository around `start`, or at `git://<rev>:<dir>@<repository>`.

    Configs, manifest, lock and code come from git objects, nothing is checked out; relative paths of data and outputs
    start where the project lies in the work tree (for another repository: at the project of `start`).
    """
    start = start.resolve()
    address, root = address_of(start, rev)
    ledger = Ledger()
    repositories = Repositories(root, Lock(), ledger, address.repo)
    tree = repositories.open_at(address)
    repositories.lock = _lock(tree)
    place = GitPlace(address, tree, repositories)
    return _from_manifest(place, repositories, root / MANIFEST, address)


def _lock(tree: Tree) -> Lock:
    text = tree.read(LOCK) if tree.is_file(LOCK) else None
    return Lock() if text is None else parse_lock(text, tree.where(LOCK))


def _with_shipped(own: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*own, *plugin_conf(), str(shipped_conf()))))


def _from_manifest(place: Place, repositories: Repositories, manifest: Path, revision: GitAddress | None) -> Project:
    root = repositories.root
    search = SearchPath(repositories)
    read = search.manifest(place)
    conf = search.of(place, read, (place,))
    code = []
    for item in read.texts("code"):
        if not place.has_folder(item.value):
            search.no_folder("code", place, item)
        code.append(Path(os.path.normpath(root / item.value)) if revision else (root / item.value).resolve())
    name = read.texts("name")
    if search.errors:
        raise DiagnosticError(search.errors)
    named = name[0].value if name else root.name
    return Project(
        root, _with_shipped(tuple(conf)), tuple(code), manifest, named, revision, repositories.lock,
        repositories.refresh, repositories.ledger,
    )  # fmt: skip
