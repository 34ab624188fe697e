"""Commits: what their ids stand for, walking back, and common ancestors against a definition that reads like one."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.plan.versions import Commit, RefNotFound, VersionsError
from mldlc.store.hashing import hash_bytes
from mldlc.store.layout import open_store
from mldlc.store.versions.commits import Commits, decode_commit
from mldlc.store.versions.root import EMPTY, EMPTY_BYTES, ROOT, encode_commit
from mldlc.store.versions.trees import empty_tree
from tests.store.versions.nodes_memory import MemoryNodes


@pytest.fixture
def commits(tmp_path: Path) -> Commits:
    return Commits(open_store(tmp_path / "outputs"))


def write(commits: Commits, *parents: str, time: float = 1.0, message: str = "") -> str:
    return commits.write(EMPTY, parents or (ROOT.id,), message, {}, time, "me").id


def test_the_root_is_the_same_everywhere_and_needs_no_file(commits: Commits) -> None:
    assert ROOT.id == "e77da13ce1e83f970a666bf61947b0c9ee2e8718b6531bc1aa07db199314ae25"
    assert (commits.read(ROOT.id), commits.has(ROOT.id), commits.expired(ROOT.id)) == (ROOT, True, False)
    nodes = MemoryNodes()
    assert empty_tree(nodes) == EMPTY and nodes.read("trees", EMPTY) == EMPTY_BYTES
    assert not (commits.store.root / "commits").exists()


def test_a_commit_is_canonical_json_named_by_its_digest(commits: Commits) -> None:
    made = commits.write("ab" * 32, (ROOT.id,), "Größe", {"b": "2", "a": "ü"}, 12.3456789, "me@here")
    data = commits.path(made.id).read_bytes()
    assert hash_bytes(data) == made.id
    assert (
        data
        == (
            f'{{"committer":"me@here","message":"Größe","metadata":{{"a":"ü","b":"2"}},'
            f'"parents":["{ROOT.id}"],"time":12.345679,"tree":"{"ab" * 32}"}}'
        ).encode()
    )
    assert Commits(commits.store).read(made.id) == made == decode_commit(made.id, encode_commit(made))
    assert commits.path(made.id).stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("metadata", [{"a": 1}, {"a": None}, {1: "a"}])
def test_metadata_is_text(commits: Commits, metadata: dict[str, str]) -> None:
    with pytest.raises(VersionsError, match="key and value are text"):
        commits.write(EMPTY, (ROOT.id,), "", metadata, 1.0, "me")


def test_a_commit_is_newer_than_its_parents_whatever_the_clock(commits: Commits) -> None:
    one = write(commits, time=1_800_000_000.0)
    two = write(commits, one, time=5.0)
    three = write(commits, two, time=5.0)
    times = [commits.read(id).time for id in (one, two, three)]
    assert times == sorted(times) and len(set(times)) == 3 and times[2] - times[0] < 1e-5
    assert [commit.id for commit in commits.history(three)] == [three, two, one, ROOT.id]


def test_damaged_and_missing_commits_are_named(commits: Commits) -> None:
    one = write(commits)
    path = commits.path(one)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data.replace(b"me", b"we"))
    with pytest.raises(VersionsError, match=f"{path} is damaged.*verify"):
        Commits(commits.store).read(one)
    path.unlink()
    with pytest.raises(VersionsError, match=f"{one} is missing.*verify"):
        Commits(commits.store).read(one)
    assert not commits.has(one)


def test_abbreviated_ids(commits: Commits) -> None:
    ids = [write(commits, message=str(n)) for n in range(30)]
    assert all(commits.abbreviated(id[:12]) == id for id in ids)
    assert commits.abbreviated(ROOT.id[:7]) == ROOT.id
    assert commits.abbreviated(ids[0][:6]) is None, "too short to mean one"
    assert commits.abbreviated("0000000") is None and commits.abbreviated("not hex!") is None
    twin = commits.path(ids[0]).with_name(ids[0][2:-1] + ("0" if ids[0][-1] != "0" else "1"))
    twin.write_bytes(b"")
    with pytest.raises(RefNotFound, match="ambiguous"):
        commits.abbreviated(ids[0][:10])


def test_a_commit_that_was_collected_is_not_made_again_under_its_id(commits: Commits) -> None:
    one = write(commits, time=7.0)
    commits.path(one).with_name(commits.path(one).name + ".expired").touch()
    assert commits.expired(one)
    again = write(commits, time=7.0)
    assert again != one and not commits.expired(again)


Shape = list[list[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Shape:
    """Parents of commit n, as numbers below n; 0 is the root."""
    shape: Shape = []
    for number in range(1, draw(st.integers(1, 12))):
        shape.append(draw(st.lists(st.integers(max(0, number - 5), number - 1), min_size=1, max_size=2, unique=True)))
    return shape


def build(commits: Commits, shape: Shape, times: list[int]) -> tuple[list[str], dict[str, set[str]]]:
    """Ids by number, and all ancestors of each, itself among them."""
    ids, above = [ROOT.id], {ROOT.id: {ROOT.id}}
    for number, parents in enumerate(shape, 1):
        id = write(commits, *(ids[p] for p in parents), time=float(times[number]), message=str(number))
        ids.append(id)
        above[id] = {id}.union(*(above[ids[p]] for p in parents))
    return ids, above


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs(), st.lists(st.integers(0, 5), min_size=13, max_size=13), st.data())
def test_ancestry_by_its_definition(commits: Commits, shape: Shape, times: list[int], data: st.DataObject) -> None:
    ids, above = build(commits, shape, times)
    left, right = (data.draw(st.sampled_from(ids)) for _ in range(2))
    common = above[left] & above[right]
    best = {id for id in common if not any(id in above[other] - {other} for other in common)}
    found = commits.merge_bases(left, right)
    assert set(found) == best and len(found) == len(best)
    assert set(commits.merge_bases(right, left)) == best
    assert commits.reaches(left, right) == (right in above[left])
    walked = [commit.id for commit in commits.history(left, right)]
    assert set(walked) == above[left] | above[right] and len(walked) == len(set(walked))
    for place, id in enumerate(walked):
        assert not any(id in above[other] for other in walked[place + 1 :]), "a parent before its child"
    firsts = [commit.id for commit in commits.first_parents(left)]
    assert firsts[-1] == ROOT.id and all(commits.read(a).parents[0] == b for a, b in itertools.pairwise(firsts))


def test_a_walk_reads_no_more_than_it_gives(commits: Commits) -> None:
    id = ROOT.id
    for number in range(50):
        id = write(commits, id, time=float(number))
    fresh = Commits(commits.store)
    walk = fresh.history(id)
    for _ in range(3):
        assert isinstance(next(walk), Commit)
    assert len(fresh._known) <= 6
    assert json.loads(commits.path(id).read_bytes())["time"] == 49.0
