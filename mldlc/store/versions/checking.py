"""Verification of versions: every head, tag, draft, commit, tree and range, and that what is reached is all there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mldlc.plan.codec import canonical
from mldlc.plan.versions import Commit, VersionsError
from mldlc.store.durable import each
from mldlc.store.hashing import hash_file
from mldlc.store.layout import DIGEST, FORMAT, FORMAT_FILE, Store
from mldlc.store.problem import Problem
from mldlc.store.versions.commits import EXPIRED, Commits
from mldlc.store.versions.draft_state import draft_runs, read_draft
from mldlc.store.versions.heads import parse_head
from mldlc.store.versions.names import COMMIT_ID
from mldlc.store.versions.ranges import Range, decode
from mldlc.store.versions.root import EMPTY, RootedNodes
from mldlc.store.versions.trees import open_tree

SHOWN = 5  # places that a problem names
RESTORE = "restore it from a copy of the store, or remove it and commit the same data again"
HEAD = "remove it: the branch is at its next lower number then"


@dataclass
class Check:
    """One pass over the versions. problems: found so far. refs: names of commits -> ids, as far as they can be read."""

    store: Store
    problems: list[Problem] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    _reached: dict[str, Commit] = field(default_factory=dict)
    _ranges: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # range -> commits that have it

    def __post_init__(self) -> None:
        self._commits = Commits(self.store)
        self._nodes = RootedNodes(self.store)

    def run(self) -> list[Problem]:
        """Check everything but the bytes of objects."""
        self._check_format()
        self._check_heads()
        self._check_tags()
        self._check_drafts()
        self._check_names("commits")
        self._check_names("trees")
        self._check_names("ranges")
        self._walk()
        self._check_data()
        return self.problems

    def users(self, digests: set[str]) -> dict[str, tuple[str, ...]]:
        """Which of these objects are files of which commits: digest -> "commit:path", at most SHOWN for each."""
        wanted = {bytes.fromhex(digest): digest for digest in digests}
        found: dict[str, list[str]] = defaultdict(list)
        for id, commits in self._ranges.items() if wanted else ():
            with suppress(OSError, ValueError):
                part = decode(self._nodes.read("ranges", id))
                for index in range(len(part)):
                    digest = wanted.get(part.digests[32 * index : 32 * index + 32])
                    if digest and len(found[digest]) < SHOWN:
                        found[digest].append(f"{self._name(commits[0])}:{part.entry(index).path}")
        return {digest: tuple(places) for digest, places in found.items()}

    def _check_format(self) -> None:
        path = self.store.root / FORMAT_FILE
        expected = canonical({"format": FORMAT, "digest": DIGEST})
        with suppress(FileNotFoundError):
            found = path.read_bytes()
            if found != expected:
                self._add("damaged", path, expected.decode(), found[:80].decode(errors="replace"), "write it anew")

    def _check_heads(self) -> None:
        for folder in _children(self.store.root / "heads"):
            for path in _children(folder) if folder.is_dir() else [folder]:
                if not folder.is_dir() or not (len(path.name) == 16 and path.name.isdigit()):
                    self._add("stray", path, "heads/<branch>/<16 digits>", path.name, "remove it")
                else:
                    self._check_ref(f"{folder.name}@{int(path.name)}", path, HEAD)

    def _check_tags(self) -> None:
        for path in _children(self.store.root / "tags"):
            if self._check_ref(path.name, path, "remove it and make the tag again") == "":
                self._add("damaged", path, "a commit id", "deleted", "remove it and make the tag again")

    def _check_ref(self, name: str, path: Path, hint: str) -> str | None:
        """The commit id in the file of a ref, noted; None when there is a problem."""
        try:
            id = parse_head(path)
        except FileNotFoundError:
            return None
        except (VersionsError, OSError):
            self._add("damaged", path, "a commit id", _start(path), hint)
            return None
        if id and not self._commits.has(id):
            if path.exists():
                self._add("damaged", path, "the id of a commit", f"{id}, which is none", hint)
            return None
        if id:
            self.refs[name] = id
        return id

    def _check_drafts(self) -> None:
        for run in draft_runs(self.store):
            folder = self.store.root / "drafts" / run
            part = "head"
            try:
                with suppress(FileNotFoundError):
                    parse_head(folder / part)
                part = "draft.json"
                draft = read_draft(self.store, run)
            except VersionsError as error:
                hint = f"remove {folder}: the run begins again"
                self._add("damaged", folder / part, "a draft", str(error), hint)
                continue
            for part, id in (("draft.json", draft.base), ("head", draft.head)) if draft else ():
                if self._commits.has(id):
                    self.refs[f"mldlc-run-{run}"] = id
                elif (folder / part).exists():
                    self._add("damaged", folder / part, "the id of a commit", id, "remove the folder of the draft")

    def _check_names(self, kind: str) -> None:
        """Every file of a kind against its name."""
        paths = [path for path in _grandchildren(self.store.root / kind) if not path.name.endswith(EXPIRED)]
        for path, found in zip(paths, each(_rehash, paths), strict=True):
            name = path.parent.name + path.name
            if not COMMIT_ID.fullmatch(name):
                self._add("stray", path, f"one of the {kind}, named by its digest", path.name, "remove it")
            elif isinstance(found, OSError):
                self._add("unreadable", path, name, str(found.strerror), RESTORE)
            elif found not in (name, None):
                self._add("damaged", path, name, found or "", RESTORE)

    def _walk(self) -> None:
        """All commits that refs reach, and that their parents are there and older."""
        waiting = list(self.refs.values())
        while waiting:
            id = waiting.pop()
            if id in self._reached:
                continue
            with suppress(VersionsError):  # damaged: told already
                commit = self._reached[id] = self._commits.read(id)
                for parent in commit.parents:
                    if self._commits.has(parent):
                        waiting.append(parent)
                    else:
                        self._add(
                            "missing", self._commits.path(parent), f"the parent of {self._name(id)}", "no file", RESTORE
                        )

    def _check_data(self) -> None:
        """Trees, ranges and files of the commits whose data is kept."""
        trees: dict[str, list[str]] = defaultdict(list)
        for id, commit in self._reached.items():
            if not self._commits.expired(id) and commit.tree != EMPTY:
                trees[commit.tree].append(id)
        for tree, users in trees.items():
            self._needed(self._nodes.path("trees", tree), "the tree", users[0])
            with suppress(OSError, ValueError):  # missing or damaged: told already
                for info in open_tree(self._nodes, tree).ranges:
                    self._ranges[info.id].append(users[0])
        sizes: dict[bytes, int] = {}
        for id, users in self._ranges.items():
            self._needed(self._nodes.path("ranges", id), "a range", users[0])
            with suppress(OSError, ValueError):
                self._check_files(decode(self._nodes.read("ranges", id)), users[0], sizes)

    def _check_files(self, part: Range, user: str, seen: dict[bytes, int]) -> None:
        """That the objects of a range are there with their sizes; their bytes are checked with all objects."""
        for index in range(len(part)):
            digest = part.digests[32 * index : 32 * index + 32]
            size = int.from_bytes(part.sizes[8 * index : 8 * index + 8], "little")
            if seen.get(digest) == size:
                continue
            seen[digest] = size
            path = self.store.object(digest.hex())
            try:
                found = f"{path.stat().st_size} bytes"
            except FileNotFoundError:
                found = "no file"
            if found != f"{size} bytes" and not self._commits.expired(user):
                place = f"{self._name(user)}:{part.entry(index).path}"
                self._add("missing", path, f"{size} bytes", found, "put the file again", place)

    def _needed(self, path: Path, what: str, user: str) -> None:
        if not path.exists() and not self._commits.expired(user):
            self._add("missing", path, f"{what} of {self._name(user)}", "no file", RESTORE)

    def _name(self, id: str) -> str:
        """A commit for a person: a ref that is at it, else the first digits of its id."""
        refs = [name for name, commit in self.refs.items() if commit == id]
        return min(refs, key=lambda name: ("@" in name, name)) if refs else id[:12]

    def _add(self, kind: str, path: Path, expected: str, found: str, hint: str, *places: str) -> None:
        self.problems.append(Problem(kind, path, expected, found, hint=hint, places=places))  # type: ignore[arg-type]


def _rehash(path: Path) -> str | OSError | None:
    try:
        return hash_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        return error


def _start(path: Path) -> str:
    with suppress(OSError):
        return path.read_bytes()[:70].decode(errors="replace")
    return "nothing that can be read"


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _grandchildren(folder: Path) -> Iterator[Path]:
    for child in _children(folder):
        yield from _children(child) if child.is_dir() else (child,)
