"""What garbage collection keeps of the versions: everything that a branch, a tag or a draft reaches, by policy less.

Before data goes, its commits are marked as expired, and only then the refs are read again: whoever makes a ref looks
for the mark after making it. So one of the two sees the other, and no new ref loses its data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mldlc.plan.diagnostic import DiagnosticError, fail
from mldlc.plan.versions import Commit, VersionsError
from mldlc.store.durable import sync_folders
from mldlc.store.layout import Store
from mldlc.store.versions.commits import EXPIRED, Commits
from mldlc.store.versions.draft_state import draft_runs, read_draft
from mldlc.store.versions.heads import list_heads, list_tags, numbers, parse_head, prunable, prune
from mldlc.store.versions.ranges import decode
from mldlc.store.versions.root import EMPTY, MAIN, ROOT, RootedNodes
from mldlc.store.versions.trees import open_tree


@dataclass
class Kept:
    """What stays. commits: ids that something reaches; data: those whose data stays. trees, ranges: ids.

    objects: digests, 32 bytes each. expired: commits whose data goes now. lost: commits that nothing reaches.
    """

    commits: set[str]
    data: set[str]
    expired: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    trees: set[str] = field(default_factory=set)
    ranges: set[str] = field(default_factory=set)
    objects: set[bytes] = field(default_factory=set)


def mark(store: Store, cutoff: float, keep_commits: int | None, gone: Iterable[str], dry_run: bool) -> Kept:
    """Decide what stays, and mark the commits whose data does not. Reads every tree and range that stays, once.

    cutoff: commits written after it stay with their data, and so does a branch's commit that was the head until then.
    keep_commits: data of so many newest commits of each branch stays (first parents, with what they merged), and that
    of tags, drafts and merge bases with `main`; None: all. gone: runs whose drafts go now. DiagnosticError
    `store_damaged` when a ref, a commit or a tree cannot be read: then nothing is known to be garbage.
    """
    try:
        commits = Commits(store)
        files = commit_files(store)
        young = {id for id, written in files.items() if written >= cutoff}
        kept = _decide(commits, files, young, set(gone), cutoff, keep_commits)
        nodes = RootedNodes(store)
        _mark_data(nodes, commits, kept)
        if not dry_run and kept.expired | kept.lost:
            _write_marks(commits, kept.expired | kept.lost)
            if _spare_new_refs(commits, kept, ref_commits(store, gone, cutoff).values()):
                _mark_data(nodes, commits, kept)
        if not dry_run:
            _settle_refs(store, cutoff)
    except (VersionsError, ValueError, FileNotFoundError) as error:
        raise _damaged(store, error) from error
    return kept


def commit_files(store: Store) -> dict[str, float]:
    """Commit ids on disk -> when they were written."""
    found = {}
    for path in _grandchildren(store.root / "commits"):
        if len(path.name) == 62:
            with suppress(FileNotFoundError):
                found[path.parent.name + path.name] = path.stat().st_mtime
    return found


def mark_files(store: Store) -> Iterator[Path]:
    """The marks of expired commits."""
    return (path for path in _grandchildren(store.root / "commits") if path.name.endswith(EXPIRED))


def ref_commits(store: Store, gone: Iterable[str], cutoff: float) -> dict[str, str]:
    """Everything that names a commit -> its id: branches, their earlier heads, tags, drafts and their bases.

    gone: runs whose drafts do not count. cutoff: earlier heads from before it do not count either.
    """
    refs = {f"tag {name}": id for name, id in list_tags(store).items()}
    for folder in _children(store.root / "heads"):
        old = set(prunable(folder, cutoff, 1))
        for number in set(numbers(folder)) - old:
            with suppress(FileNotFoundError):  # pruned in this moment
                id = parse_head(folder / f"{number:016d}")
                refs |= {f"head {folder.name}/{number}": id} if id else {}
    for run in draft_runs(store):
        draft = None if run in gone else read_draft(store, run)
        if draft is not None:
            refs |= {f"draft {run}": draft.head, f"base of draft {run}": draft.base}
    return refs


def _decide(
    commits: Commits, files: dict[str, float], young: set[str], gone: set[str], cutoff: float, keep: int | None
) -> Kept:
    refs = ref_commits(commits.store, gone, cutoff)
    reached = {commit.id for commit in commits.history(*refs.values(), *young)}
    marked = {path.parent.name + path.name.removesuffix(EXPIRED) for path in mark_files(commits.store)}
    if keep is None:
        live = set(reached)
    else:
        live = {id for ref, id in refs.items() if not ref.startswith("head ")} | young
        live |= {parent for id in young for parent in commits.read(id).parents}
        live |= _newest_of_branches(commits, files, cutoff, keep) | _bases(commits, refs)
    live = live - marked | {ROOT.id}
    return Kept(reached, live, reached - live - marked, set(files) - reached - {ROOT.id})


def _newest_of_branches(commits: Commits, files: dict[str, float], cutoff: float, keep: int) -> set[str]:
    live = set()
    for head in list_heads(commits.store).values():
        replaced = cutoff  # when the commit stopped to be the head
        for age, commit in enumerate(commits.first_parents(head.commit)):
            if age >= keep and replaced < cutoff:
                break
            live |= {commit.id, *commit.parents[1:]}
            replaced = files.get(commit.id, 0.0)
    return live


def _bases(commits: Commits, refs: dict[str, str]) -> set[str]:
    """Merge bases of branches and drafts with `main`, and what drafts committed so far."""
    live: set[str] = set()
    heads = {name: head.commit for name, head in list_heads(commits.store).items()}
    drafts = {ref: id for ref, id in refs.items() if ref.startswith("draft ")}
    for id in {*heads.values(), *drafts.values()}:
        live.update(commits.merge_bases(id, heads[MAIN]))
    for ref, id in drafts.items():
        for commit in commits.first_parents(id):
            live.add(commit.id)
            if commit.id == refs[f"base of {ref}"]:
                break
    return live


def _write_marks(commits: Commits, ids: Iterable[str]) -> None:
    folders = set()
    for id in ids:
        path = commits.path(id)
        path.with_name(path.name + EXPIRED).touch()
        folders.add(path.parent)
    sync_folders(folders)


def _spare_new_refs(commits: Commits, kept: Kept, named: Iterable[str]) -> bool:
    """Take back the marks of commits that a ref names made since the refs were read; whether there are any."""
    refs = set(named)
    spared = refs & (kept.expired | kept.lost)
    back = {commit.id for commit in commits.history(*refs)} & kept.lost
    for id in spared | back:
        path = commits.path(id)
        path.with_name(path.name + EXPIRED).unlink(missing_ok=True)
    kept.expired -= spared
    kept.lost -= back
    kept.commits |= back
    kept.data |= spared | back
    return bool(spared | back)


def _mark_data(nodes: RootedNodes, commits: Commits, kept: Kept) -> None:
    kept.trees = {commits.read(id).tree for id in kept.data}
    for tree in kept.trees:
        kept.ranges.update(info.id for info in open_tree(nodes, tree).ranges)
    for id in kept.ranges:
        digests = decode(nodes.read("ranges", id)).digests
        kept.objects.update(digests[at : at + 32] for at in range(0, len(digests), 32))
    kept.trees.add(EMPTY)


def _settle_refs(store: Store, cutoff: float) -> None:
    """Remove old heads, and make durable that they, and drafts, are gone: none may come back without its data."""
    folders = _children(store.root / "heads")
    for folder in folders:
        prune(folder, cutoff, 1)
    sync_folders([*folders, *filter(Path.is_dir, (store.root / "tags", store.root / "drafts"))])


def _damaged(store: Store, error: Exception) -> DiagnosticError:
    return fail(
        "store_damaged",
        f"nothing was collected: {error}",
        found=str(store.root),
        hint="`mldlc data verify` names every damaged file; mend them, then collect",
    )


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _grandchildren(folder: Path) -> Iterator[Path]:
    for child in _children(folder):
        yield from _children(child) if child.is_dir() else ()


def drop_commits(store: Store, ids: Iterable[str]) -> None:
    """Remove the files of commits that nothing reaches, the newest first, and the marks of commits that are gone."""
    commits = Commits(store)
    found: list[Commit] = []
    for id in ids:
        with suppress(VersionsError):
            found.append(commits.read(id))
    for commit in sorted(found, key=lambda commit: -commit.time):
        commits.path(commit.id).unlink(missing_ok=True)
    for path in list(mark_files(store)):
        if not path.with_name(path.name.removesuffix(EXPIRED)).exists():
            path.unlink(missing_ok=True)
