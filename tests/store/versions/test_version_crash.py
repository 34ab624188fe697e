"""kill -9 at random moments of putting, committing, publishing, tagging and collecting: never half, never blocked."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path

from mldlc.plan.versions import RefNotFound
from mldlc.store.gc import collect_garbage
from mldlc.store.layout import open_store
from mldlc.store.verify import verify
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions
from tests.store.making import age
from tests.store.versions.making import contents
from tests.thorough import ALL

FORK = multiprocessing.get_context("fork")
KILLS = 100 if ALL else 30


def _data(round: int, name: str) -> bytes:
    """What a run's file holds, if it is whole: some are larger than one write."""
    return f"{round} {name} ".encode() * (1 + round * 7919 % 9000)


def _next_round(versions: EmbeddedVersions) -> int:
    done = [commit for commit in versions.log("main", first_parent=True) if "round" in commit.metadata]
    return int(done[0].metadata["round"]) + 1 if done else 0


def _run(versions: EmbeddedVersions, outside: Path, round: int) -> None:
    """One run, as an engine does it: begun, or gone on with, until it is published."""
    draft = versions.draft("main", run=f"r{round}")
    if draft.head == draft.base:
        attempt = draft.path(f"{round}/attempt-{os.urandom(4).hex()}")
        with attempt.open("wb") as file:
            for part in range(8):
                file.write(b"%d" % part * 3000)
                file.flush()
        draft.path(f"{round}/written").write_bytes(_data(round, "written"))
        source = outside / "source"
        source.write_bytes(_data(round, "put"))
        draft.put(f"{round}/put", source)
        linked = outside / f"taken-{os.urandom(4).hex()}"
        linked.write_bytes(_data(round, "taken"))
        draft.put_many({f"{round}/taken": linked}, take=True)
        draft.remove(f"{round - 3}/")
        draft.commit(f"round {round}", {})
    draft.publish("main", metadata={"round": str(round)}, tag=f"t{round}" if round % 3 == 0 else "")


def _work(root: Path, outside: Path, seed: int) -> None:
    """Runs without end, with branches that come and go and a collection now and then."""
    versions = open_versions(open_store(root))
    chance = random.Random(seed)
    while True:
        if "exp" not in versions.branches():  # the one before was perhaps killed between taking it away and making it
            versions.branch("exp", "main")
        _run(versions, outside, _next_round(versions))
        match chance.randrange(4):
            case 0:
                versions.merge("main", "exp", strategy="source-wins")
            case 1:
                with suppress(RefNotFound):
                    versions.delete_branch("exp")
                versions.branch("exp", f"main~{chance.randrange(2)}")
            case 2:
                versions.gc(keep_commits=3, grace_seconds=0.001)
                collect_garbage(versions.store, grace_seconds=0.001)


def _check(versions: EmbeddedVersions) -> int:
    """Everything that is published is whole, once and in order; the number of rounds."""
    assert verify(versions.store) == []
    merges = [c.metadata["round"] for c in versions.log("main", first_parent=True) if "round" in c.metadata]
    assert merges == [str(n) for n in reversed(range(len(merges)))], "a run that is published twice, or lost"
    found = contents(versions, "main")
    rounds = {int(name.split("/")[0]) for name in found}
    assert rounds == set(range(max(0, len(merges) - 3), len(merges)))
    for round in rounds:
        mine = {name.split("/")[1]: data for name, data in found.items() if name.startswith(f"{round}/")}
        (attempt,) = [name for name in mine if name.startswith("attempt")]
        assert mine.pop(attempt) == b"".join(b"%d" % part * 3000 for part in range(8))
        assert mine == {name: _data(round, name) for name in ("written", "put", "taken")}
    return len(merges)


def test_kill_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(3)
    outside = tmp_path / "outside"
    outside.mkdir()
    versions = open_versions(open_store(tmp_path))
    begun = time.monotonic()
    _run(versions, outside, 0)
    unit = time.monotonic() - begun
    published = [1]
    for seed in range(KILLS):
        child = FORK.Process(target=_work, args=(tmp_path, outside, seed))
        child.start()
        time.sleep(0.003 + chance.random() * 2 * unit)
        os.kill(child.pid, signal.SIGKILL)  # type: ignore[arg-type]
        child.join()
        assert child.exitcode == -signal.SIGKILL, "it died of something else"
        published.append(_check(open_versions(open_store(tmp_path))))
        unit *= 1.3 if published[-1] == published[-2] else 0.8  # moments spread over the work, however busy the disk is
    assert published == sorted(published), "a publish was lost"
    assert len(set(published)) > KILLS // 4, "the kills came too early to prove anything"
    _run(versions, outside, _next_round(versions))
    age(versions.store.root, 1e7)
    versions.gc(keep_commits=3)
    assert not list(versions.store.work.iterdir()) and not list((versions.store.root / "drafts").iterdir())
    assert not [path for path in versions.store.leases.iterdir() if path.is_file()]
    assert _check(versions) > published[-1]
