"""The server's own answers, from lakeFS's documentation and pkg/api's table of errors, asked of the double directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mldlc.plan.versions import Denied
from mldlc.store.lakefs.client import ApiError, Client
from mldlc.store.lakefs.credentials import Credentials
from tests.lakefs_double.operations import put_bytes
from tests.lakefs_double.running import NAME, client_of, running
from tests.lakefs_double.server import Double

ROOT = f"/repositories/{NAME}"


class Wire:
    """Requests as they are, without the adapter's judgement."""

    def __init__(self, double: Double) -> None:
        self.double, self.client = double, client_of(double, tries=1)

    def call(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """The answer's JSON."""
        return self.client.call(method, ROOT + path, query, body)

    def refusal(self, method: str, path: str, body: Any = None, /, **query: Any) -> int:
        """The status of an answer that must be a refusal."""
        with pytest.raises(ApiError) as error:
            self.call(method, path, body, **query)
        return error.value.status

    def put(self, branch: str, path: str, data: bytes) -> None:
        """An object staged by another client."""
        put_bytes(self.double.repository(NAME), branch, path, data)

    def commit(self, branch: str, path: str, data: bytes) -> str:
        """One object, committed."""
        self.put(branch, path, data)
        return str(self.call("POST", f"/branches/{branch}/commits", {"message": path})["id"])

    def branch(self, name: str, source: str = "main") -> None:
        """A branch."""
        self.double.repository(NAME).create_branch(name, source, False)

    def paths(self, ref: str, **query: Any) -> list[str]:
        """Paths of a list."""
        return [row["path"] for row in self.call("GET", f"/refs/{ref}/objects/ls", **query)["results"]]


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    with running(tmp_path) as (double, _):
        yield Wire(double)


def test_committing_nothing_is_a_bad_request(wire: Wire) -> None:
    assert wire.refusal("POST", "/branches/main/commits", {"message": "none"}) == 400
    wire.commit("main", "a", b"1")
    wire.put("main", "a", b"1")
    assert wire.refusal("POST", "/branches/main/commits", {"message": "the same object again"}) == 400
    made = wire.call("POST", "/branches/main/commits", {"message": "meant", "allow_empty": True})
    assert made["meta_range_id"] == wire.call("GET", "/commits/main~1")["meta_range_id"]


def test_tags_and_branches_are_made_once(wire: Wire) -> None:
    head = wire.commit("main", "a", b"1")
    wire.call("POST", "/tags", {"id": "v1", "ref": "main"})
    assert wire.refusal("POST", "/tags", {"id": "v1", "ref": head}) == 409, "even at the same commit"
    wire.branch("side")
    body = {"name": "side", "source": head}
    assert wire.refusal("POST", "/branches", body) == 409
    assert wire.refusal("POST", "/branches", {"name": "x/y", "source": head}) == 400
    assert wire.refusal("POST", "/branches", {"name": "z", "source": "nothing"}) == 404


def test_the_default_branch_cannot_be_deleted(wire: Wire) -> None:
    with pytest.raises(Denied, match="HTTP 403"):
        wire.call("DELETE", "/branches/main")


def test_a_merge_without_changes_is_a_bad_request(wire: Wire) -> None:
    wire.commit("main", "a", b"1")
    wire.branch("side")
    wire.commit("main", "b", b"1")
    body = {"metadata": {}}
    assert wire.refusal("POST", "/refs/side/merge/main", body) == 400, "source is the merge base"
    wire.call("POST", "/branches/side/commits", {"message": "empty", "allow_empty": True})
    assert wire.refusal("POST", "/refs/side/merge/main", body) == 400, "data counts, not commits"
    wire.commit("side", "b", b"1")
    before = wire.call("GET", "/commits/main")
    after = wire.call("GET", f"/commits/{wire.call('POST', '/refs/side/merge/main', body)['reference']}")
    assert after["meta_range_id"] == before["meta_range_id"], "both had it: a merge that changes nothing is made"
    assert len(after["parents"]) == 2


def test_a_merge_conflict_is_409_and_the_strategy_is_written_down(wire: Wire) -> None:
    wire.branch("side")
    wire.commit("main", "a", b"1")
    wire.commit("side", "a", b"2")
    assert wire.refusal("POST", "/refs/side/merge/main", {"metadata": {}}) == 409
    assert wire.refusal("POST", "/refs/side/merge/main", {"metadata": {}, "strategy": "mine"}) == 400
    body = {"metadata": {"k": "v"}, "strategy": "source-wins"}
    made = wire.call("GET", f"/commits/{wire.call('POST', '/refs/side/merge/main', body)['reference']}")
    assert made["metadata"] == {"k": "v", ".lakefs.merge.strategy": "source-wins"}


def test_a_branch_with_uncommitted_changes_takes_no_merge_and_no_revert(wire: Wire) -> None:
    head = wire.commit("main", "a", b"1")
    wire.branch("side")
    wire.commit("side", "b", b"1")
    wire.put("main", "c", b"1")
    assert wire.refusal("POST", "/refs/side/merge/main", {"metadata": {}}) == 400
    assert wire.refusal("POST", "/branches/main/revert", {"ref": head, "parent_number": 0}) == 400


def test_a_merge_is_reverted_only_against_a_named_parent(wire: Wire) -> None:
    wire.branch("side")
    wire.commit("side", "b", b"1")
    merge = wire.call("POST", "/refs/side/merge/main", {"metadata": {}})["reference"]
    assert wire.refusal("POST", "/branches/main/revert", {"ref": merge, "parent_number": 0}) == 409
    assert wire.refusal("POST", "/branches/main/revert", {"ref": merge, "parent_number": 3}) == 400
    assert wire.call("POST", "/branches/main/revert", {"ref": merge, "parent_number": 1}) is None
    assert wire.paths("main") == []
    assert wire.call("GET", "/commits/main")["parents"] == [merge]


def test_a_log_of_a_prefix_leaves_merges_out(wire: Wire) -> None:
    wire.branch("side")
    made = wire.commit("side", "p/a", b"1")
    merge = wire.call("POST", "/refs/side/merge/main", {"metadata": {}})["reference"]

    def log(**query: Any) -> list[str]:
        return [row["id"] for row in wire.call("GET", "/refs/main/commits", **query)["results"]]

    assert log(prefixes=["p/"]) == [made]
    assert log(prefixes=["p/"], first_parent=True) == []
    assert log(amount=1) == [merge]
    assert log(after=merge, amount=1) == [made]


def test_a_branch_shows_what_is_staged_and_its_commit_does_not(wire: Wire) -> None:
    wire.commit("main", "a", b"1")
    wire.put("main", "b", b"1")
    assert wire.paths("main") == ["a", "b"]
    assert wire.paths("main@") == ["a"]
    assert [row["path"] for row in wire.call("GET", "/branches/main/diff")["results"]] == ["b"]
    wire.call("PUT", "/branches/main", {"type": "reset"})
    assert wire.paths("main") == ["a"]


def test_lists_have_pages_and_groups(wire: Wire) -> None:
    for path in ("a", "b/c", "b/d", "c/e/f", "d"):
        wire.put("main", path, b"1")
    assert wire.paths("main", delimiter="/") == ["a", "b/", "c/", "d"]
    assert wire.paths("main", delimiter="/", prefix="b/") == ["b/c", "b/d"]
    first = wire.call("GET", "/refs/main/objects/ls", delimiter="/", amount=2)
    assert first["pagination"] == {"has_more": True, "next_offset": "b/", "results": 2, "max_per_page": 1000}
    assert wire.paths("main", delimiter="/", after="b/") == ["c/", "d"]


def test_metadata_and_etags_are_part_of_an_object_and_times_are_not(wire: Wire) -> None:
    wire.commit("main", "a", b"1")
    wire.put("main", "a", b"1")
    assert wire.call("GET", "/branches/main/diff")["results"] == []
    put_bytes(wire.double.repository(NAME), "main", "a", b"1", content_type="text/plain")
    assert [row["type"] for row in wire.call("GET", "/branches/main/diff")["results"]] == ["changed"]


def test_an_import_deletes_what_was_below_its_destination(wire: Wire) -> None:
    wire.commit("main", "t/old", b"1")
    wire.commit("main", "u", b"1")
    wire.double.operations.bucket |= {"local://bucket/in/x": b"2", "local://bucket/in/y/z": b"3"}
    location = {"type": "common_prefix", "path": "local://bucket/in/", "destination": "t/"}
    started = wire.call("POST", "/branches/main/import", {"paths": [location], "commit": {"message": "in"}})
    assert wire.call("GET", "/branches/main/import", id=started["id"])["completed"] is False
    assert wire.call("GET", "/branches/main/import", id=started["id"])["completed"] is True
    assert wire.paths("main") == ["t/x", "t/y/z", "u"]


def test_a_staged_address_is_linked_once_and_only_with_bytes(wire: Wire) -> None:
    where = wire.call("GET", "/branches/main/staging/backing", path="a", presign=True)
    link = {"staging": where, "checksum": "etag", "size_bytes": 3}
    assert wire.refusal("PUT", "/branches/main/staging/backing", link, path="a") == 400
    wire.client.request("PUT", where["presigned_url"], body=b"abc", read=lambda response: response.read())
    assert wire.refusal("PUT", "/branches/main/staging/backing", link, path="b") == 400
    row = wire.call("PUT", "/branches/main/staging/backing", link, path="a")
    assert (row["size_bytes"], row["checksum"]) == (3, "etag")
    assert wire.refusal("PUT", "/branches/main/staging/backing", link, path="a") == 400


def test_credentials_are_checked(wire: Wire) -> None:
    for key, secret in (("AKIADOUBLEDOUBLE", "wrong"), ("wrong", "wrong")):
        stranger = Client(Credentials(wire.double.endpoint, key, secret, "the test"), tries=1)
        with pytest.raises(Denied, match="the test"):
            stranger.call("GET", f"{ROOT}/branches")


def test_deleting_takes_a_thousand_paths(wire: Wire) -> None:
    names = [str(number) for number in range(1001)]
    assert wire.refusal("POST", "/branches/main/objects/delete", {"paths": names}) == 400
    assert wire.call("POST", "/branches/main/objects/delete", {"paths": names[:1000]}) == {"errors": []}


def test_hidden_branches_are_listed_when_asked_for(wire: Wire) -> None:
    wire.double.repository(NAME).create_branch("secret", "main", True)
    assert [row["id"] for row in wire.call("GET", "/branches")["results"]] == ["main"]
    assert [row["id"] for row in wire.call("GET", "/branches", show_hidden=True)["results"]] == ["main", "secret"]
