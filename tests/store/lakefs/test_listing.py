"""Lists and differences: how many requests they cost, and that an ETag is no content."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from mldlc.store.hashing import hash_bytes
from mldlc.store.lakefs.listing import DIGEST_KEY, find_entries
from mldlc.store.versions.digests import entries_digest
from tests.lakefs_double.operations import put_bytes
from tests.lakefs_double.repository import Attributes
from tests.store.lakefs.conftest import Lake


def fill(lake: Lake, paths: list[str], branch: str = "main") -> None:
    """Objects of our own making, without uploads and bytes."""
    for path in paths:
        digest = hash_bytes(path.encode())
        kept = Attributes(hashlib.md5(path.encode()).hexdigest(), "application/octet-stream", {DIGEST_KEY: digest})
        lake.state.stage(branch, path, digest, len(path), kept)
    lake.state.commit(branch, "fill", {}, False)


def cost(lake: Lake, wanted: list[str]) -> tuple[int, int, set[str]]:
    """Lists and stats for finding paths, and what was found."""
    lists, stats = lake.double.count("listObjects"), lake.double.count("statObject")
    found = find_entries(lake.versions.repository, "main", wanted)
    assert all(entry.path == path for path, entry in found.items())
    return lake.double.count("listObjects") - lists, lake.double.count("statObject") - stats, set(found)


def test_paths_are_found_by_lists_where_they_are_dense_and_one_by_one_where_not(lake: Lake) -> None:
    names = [f"d/{number:05}" for number in range(2500)]
    fill(lake, names)
    assert cost(lake, names) == (3, 0, set(names))
    assert cost(lake, names[500:600]) == (1, 0, set(names[500:600]))
    far = names[::800]
    lists, stats, found = cost(lake, far)
    assert found == set(far) and lists <= 1 and stats <= len(far)
    assert cost(lake, names[7:8]) == (0, 1, {names[7]})
    assert cost(lake, ["a", "d/00001x", "z"])[2] == set()
    assert cost(lake, []) == (0, 0, set())
    mixed = sorted(random.Random(3).sample(names, 90) + [f"d/{number:05}x" for number in range(0, 2500, 50)])
    assert cost(lake, mixed)[2] == set(mixed) & set(names)


def test_a_list_of_thousands_is_three_requests(lake: Lake) -> None:
    fill(lake, [f"d/{number:05}" for number in range(2500)])
    before = len(lake.double.requests)
    assert len(list(lake.versions.entries("main"))) == 2500
    assert lake.versions.digest("main") == entries_digest(lake.versions.entries("main"))
    assert len(lake.double.requests) - before == 1 + 3 + 1 + 3 + 1 + 3
    lake.versions.digest("main")
    assert len(lake.double.requests) - before == 13, "a digest of a tree is known from then on"


def test_partitions_that_changed_cost_one_list(lake: Lake) -> None:
    fill(lake, [f"t/p={part}/{number:03}" for part in range(20) for number in range(50)])
    fill(lake, [f"t/p=7/new{number}" for number in range(60)])
    before = len(lake.double.requests)
    found = list(lake.versions.diff("main~1", "main", "t/", depth=1))
    assert [(change.kind, change.path) for change in found] == [("prefix_changed", "t/p=7/")]
    assert len(lake.double.requests) - before == 3, "two refs and one list"


def test_an_etag_is_no_content(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same bytes")
    lake.published("r", {"t/a": b"same bytes", "t/b": b"b"})
    entry = lake.state.entry("main", "t/a")
    other = Attributes("0123-2", "application/octet-stream", {DIGEST_KEY: lake.versions.entry("main", "t/a").digest})
    lake.state.stage("main", "t/a", entry.digest, entry.size, other)
    lake.state.commit("main", "uploaded in parts elsewhere", {}, False)
    assert lake.versions.commit("main").tree != lake.versions.commit("main~1").tree
    assert lake.versions.digest("main") == lake.versions.digest("main~1")
    assert lake.versions.partitions("main") == lake.versions.partitions("main~1")
    assert list(lake.versions.diff("main~1", "main")) == []
    draft = lake.versions.draft("main", run="again")
    draft.put("t/a", tmp_path / "a")
    assert lake.double.count("uploadObject") == 2, "nothing was sent again"


def test_objects_of_other_clients_have_their_etag(lake: Lake) -> None:
    put_bytes(lake.state, "main", "a", b"1")
    lake.state.commit("main", "theirs", {}, False)
    lake.published("r", {"b": b"2"})
    theirs, ours = lake.versions.entries("main")
    assert theirs.digest == "etag:" + hashlib.md5(b"1").hexdigest()
    assert not ours.digest.startswith("etag:")
    before = lake.versions.digest("main")
    put_bytes(lake.state, "main", "a", b"1", content_type="text/plain")
    lake.state.commit("main", "theirs again", {}, False)
    assert [change.path for change in lake.versions.diff("main~1", "main")] == ["a"], "it cannot be told"
    assert lake.versions.digest("main") == before
    assert lake.versions.entry("main", "a").media == "text/plain"


def test_metadata_that_is_no_digest_is_not_believed(lake: Lake) -> None:
    for number, value in enumerate(["", "x" * 64, "ab" * 31]):
        kept = Attributes(f"etag{number}", "application/octet-stream", {DIGEST_KEY: value})
        digest = put_bytes(lake.state, "main", "x", b"1").digest
        lake.state.stage("main", f"a{number}", digest, 1, kept)
    lake.state.unstage("main", "x")
    lake.state.commit("main", "odd", {}, False)
    assert [entry.digest for entry in lake.versions.entries("main")] == ["etag:etag0", "etag:etag1", "etag:etag2"]


def test_keys_of_metadata_may_come_back_in_other_letters(lake: Lake) -> None:
    digest = put_bytes(lake.state, "main", "a", b"1").digest
    for name in ("Mldlc-Blake3", "X-Amz-Meta-Mldlc-Blake3"):
        lake.state.stage("main", "a", digest, 1, Attributes("e", "application/octet-stream", {name: digest}))
        assert lake.versions.repository.get("refs", "main", "objects", "stat", query={"path": "a"})["metadata"]
        assert find_entries(lake.versions.repository, "main", ["a"])["a"].digest == digest
