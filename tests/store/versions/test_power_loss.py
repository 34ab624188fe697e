"""Power lost after any step of putting, publishing, tagging, deleting or collecting: the old state or the new, sound."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mldlc.store.gc import DAY
from mldlc.store.layout import Store, existing_store
from mldlc.store.verify import verify
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions
from tests.store.making import age
from tests.store.versions.making import commit_on, contents, versions_in
from tests.store.versions.power import VARIANTS, Folder, Recorder, survivor
from tests.thorough import ALL

Work = Callable[[EmbeddedVersions, Path], None]


def publish(versions: EmbeddedVersions, outside: Path) -> None:
    """All ways into a commit: written, copied, linked, known; small and large."""
    draft = versions.draft("main", run="r1")
    for name in ("w/1", "w/2"):
        descriptor = os.open(draft.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)  # as the record sees it
        os.write(descriptor, b"written " + name.encode())
        os.close(descriptor)
    draft.put("c/small", outside / "small")
    draft.put("c/large", outside / "large")
    draft.put("c/taken", outside / "taken", take=True)
    draft.remove("a")
    draft.commit("first", {}, allow_empty=True)
    draft.put("second", outside / "second")
    draft.commit("second", {}, allow_empty=True)
    draft.publish("main", tag="v2")


def publish_many(versions: EmbeddedVersions, outside: Path) -> None:
    """So many files that they are synced as one group."""
    draft = versions.draft("main", run="r1")
    for number in range(40):
        draft.put(f"{number}", outside / f"many {number}")
    draft.commit("many", {})
    draft.publish("main")


def branches_and_tags(versions: EmbeddedVersions, outside: Path) -> None:
    """Refs come and go, a merge, a revert."""
    versions.branch("new", "main~1")
    versions.tag("t", "new")
    versions.merge("exp", "main")
    versions.revert("main", "main")
    versions.delete_branch("exp")
    versions.delete_tag("t")
    versions.branch("exp", "new")


def collect(versions: EmbeddedVersions, outside: Path) -> None:
    """What was deleted goes, and what the policy lets go."""
    versions.delete_branch("exp")
    age(versions.store.root, 100 * DAY)
    versions.gc(keep_commits=1)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of files come and go."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


def refs(versions: EmbeddedVersions) -> dict[str, str]:
    return {
        **{f"b {k}": v for k, v in versions.branches().items()},
        **{f"t {k}": v for k, v in versions.tags().items()},
    }


def prepare(folder: Path) -> tuple[EmbeddedVersions, Path]:
    versions = versions_in(folder)
    commit_on(versions, "main", {"a": b"old", "b": b"stays"})
    versions.branch("exp", "main")
    commit_on(versions, "exp", {"e": b"on exp"})
    outside = folder / "outside"
    outside.mkdir()
    for name, size in (("small", 3000), ("large", (1 << 20) + 1), ("taken", 50), ("second", 60)):
        (outside / name).write_bytes(os.urandom(size))
    for number in range(40):
        (outside / f"many {number}").write_bytes(os.urandom(30))
    return versions, outside


def sound(folder: Path, allowed: dict[str, set[str | None]]) -> Store:
    """The store after the loss: every ref as it was before or after, everything that is reached there."""
    store = existing_store(folder)
    assert store is not None
    for name in ("objects", "records", "leases", "scratch", "work", "drafts"):
        assert (store.root / name).is_dir()
    found = refs(open_versions(store))
    for ref in {*allowed, *found}:
        assert found.get(ref) in allowed.get(ref, set()), f"{ref} is {found.get(ref)}"
    assert verify(store) == []
    return store


@pytest.mark.parametrize("work", [publish, publish_many, branches_and_tags, collect])
def test_power_loss(tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, work: Work) -> None:
    versions, outside = prepare(tmp_path)
    allowed: dict[str, set[str | None]] = {ref: {id} for ref, id in refs(versions).items()}
    recorder = Recorder(tmp_path / "outputs")
    with monkeypatch.context() as patch:
        recorder.watch(patch)
        _note_refs(patch, allowed)
        work(versions, outside)
    expected = {ref: {id} for ref, id in refs(versions).items()}
    for ref, ids in allowed.items():  # all that a ref ever was, as no folder says in which order what was lost came
        ids |= expected.get(ref, {None})
    final = contents(versions, "main")
    chance = random.Random(5)
    tried = Counter[str]()
    step = 1 if ALL else 1 + len(recorder.events) // 60
    for number, disk in recorder.states():
        if number % step and number != len(recorder.events):
            continue
        for variant in VARIANTS:
            left = memory / "left"
            survivor(disk, variant, chance, left)
            store = sound(left, allowed)
            if number % (7 * step) == 0 and work is publish:
                work(open_versions(store), outside)
                assert contents(open_versions(store), "main") == final, "the same run goes on, or begins again"
                assert verify(store) == []
            tried[variant] += 1
            shutil.rmtree(left)
    survivor(disk, "strict", chance, memory / "left")
    sound(memory / "left", expected)  # what returned is there whatever was lost
    assert min(tried.values()) >= 25


def _note_refs(patch: pytest.MonkeyPatch, allowed: dict[str, set[str | None]]) -> None:
    """Every commit id that a ref is moved to on the way is one that it may be at; a ref that comes or goes may be gone."""
    from mldlc.store.versions import heads

    link, remove = heads._link, heads.remove_tag

    def noting(store: Store, data: bytes, target: Path) -> bool:
        kind, name = ("t", target.name) if target.parent.name == "tags" else ("b", target.parent.name)
        ids = allowed.setdefault(f"{kind} {name}", {None})
        ids.add(None if data == heads.DELETED else data.decode())
        return link(store, data, target)

    def removing(store: Store, name: str) -> bool:
        allowed.setdefault(f"t {name}", set()).add(None)
        return remove(store, name)

    patch.setattr(heads, "_link", noting)
    patch.setattr(heads, "remove_tag", removing)


def test_the_disk_loses_what_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model itself: a careless writer is caught."""
    root = tmp_path / "outputs"
    root.mkdir()
    (root / "old").write_bytes(b"old")
    recorder = Recorder(root)
    with monkeypatch.context() as patch:
        recorder.watch(patch)
        (root / "d").mkdir()
        descriptor = os.open(root / "d" / "new", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(descriptor, b"abc")
        os.fsync(descriptor)
        os.write(descriptor, b"def")
        os.close(descriptor)
        (root / "d" / "new").rename(root / "old")
    for _, disk in recorder.states():  # noqa: B007
        pass
    assert _look(disk, "strict", tmp_path / "1") == {"old": b"old"}, "the folder was never synced"
    assert _look(disk, "names", tmp_path / "2") == {"old": b"abc"}
    assert _look(disk, "zeros", tmp_path / "3") == {"old": b"abc\0\0\0"}
    assert _look(disk, "all", tmp_path / "4") == {"old": b"abcdef"}
    seen = {str(_look(disk, "chance", tmp_path / f"c{n}", n)) for n in range(60)}
    assert len(seen) > 6


def _look(disk: Folder, variant: str, target: Path, seed: int = 0) -> dict[str, bytes]:
    survivor(disk, variant, random.Random(seed), target)  # type: ignore[arg-type]
    return {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
