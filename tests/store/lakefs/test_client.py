"""Requests under bad conditions: what is tried again, how long is waited, what is said in the end."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from mldlc.plan.versions import DataExpired, Denied, Unavailable
from mldlc.store.lakefs.client import LONGEST_WAIT, TRIES, ApiError, Client, retry_after
from mldlc.store.lakefs.credentials import Credentials
from tests.lakefs_double.running import NAME, client_of
from tests.store.lakefs.conftest import Lake

ROOT = f"/repositories/{NAME}"


def waiting_client(lake: Lake, **fields: Any) -> tuple[Client, list[float]]:
    """A client and the seconds that it would have waited."""
    waits: list[float] = []
    return client_of(lake.double, sleep=waits.append, **fields), waits


@pytest.mark.parametrize("status", [423, 429, 500, 502, 503, 504])
def test_passing_troubles_are_tried_again_with_growing_pauses(lake: Lake, status: int) -> None:
    client, waits = waiting_client(lake)
    lake.double.fail("listBranches", "status", status=status, times=TRIES - 1)
    assert client.call("GET", f"{ROOT}/branches")["results"][0]["id"] == "main"
    assert len(waits) == TRIES - 1
    for number, wait in enumerate(waits):
        assert 0.1 * 2**number <= wait <= 0.2 * 2**number


@pytest.mark.parametrize("kind", ["drop", "cut"])
def test_a_broken_connection_is_tried_again(lake: Lake, kind: str) -> None:
    client, waits = waiting_client(lake)
    lake.double.fail("listBranches", kind, times=2)
    assert client.call("GET", f"{ROOT}/branches")["results"][0]["id"] == "main"
    assert len(waits) == 2


def test_a_slow_answer_is_not_waited_for_without_end(lake: Lake) -> None:
    client, waits = waiting_client(lake, read_timeout=1.0)
    lake.double.fail("listBranches", "slow", seconds=30.0)
    assert client.call("GET", f"{ROOT}/branches")["results"]
    assert waits, "a busy machine may be too slow more than once"


def test_it_gives_up_in_the_end_and_says_what_it_met(lake: Lake) -> None:
    client, waits = waiting_client(lake)
    lake.double.fail("listBranches", "status", status=503, times=TRIES, body=b"<html>upstream is down</html>")
    with pytest.raises(
        Unavailable, match=r"GET /repositories/lake/branches: <html>upstream is down</html> \(HTTP 503\)"
    ):
        client.call("GET", f"{ROOT}/branches")
    assert len(waits) == TRIES - 1
    assert max(waits) <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, ApiError), (404, ApiError), (409, ApiError), (412, ApiError), (403, Denied), (410, DataExpired)],
)
def test_a_refusal_is_not_tried_again(lake: Lake, status: int, error: type[Exception]) -> None:
    client, waits = waiting_client(lake)
    lake.double.fail("listBranches", "status", status=status)
    with pytest.raises(error, match="made to fail"):
        client.call("GET", f"{ROOT}/branches")
    assert waits == []


def test_the_server_says_how_long_to_wait(lake: Lake) -> None:
    client, waits = waiting_client(lake)
    lake.double.fail("listBranches", "status", status=429, headers={"Retry-After": "7"})
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    lake.double.fail("listBranches", "status", status=503, headers={"Retry-After": when})
    client.call("GET", f"{ROOT}/branches")
    assert 7 <= waits[0] <= 7.5
    assert 25 <= waits[1] <= 31


def test_a_wait_of_an_hour_is_news_instead(lake: Lake) -> None:
    client, waits = waiting_client(lake)
    lake.double.fail("listBranches", "status", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(Unavailable, match="asks to wait 3600 s"):
        client.call("GET", f"{ROOT}/branches")
    assert waits == []


@pytest.mark.parametrize(
    ("value", "seconds"), [("", 0), ("soon", 0), ("-5", 0), ("3", 3), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)]
)
def test_retry_after_is_a_number_or_a_date(value: str, seconds: float) -> None:
    assert retry_after(value) == seconds


def test_work_that_was_done_is_found_before_it_is_done_again(lake: Lake) -> None:
    client, _ = waiting_client(lake)
    asked = []

    def recover() -> str:
        asked.append(1)
        return "found"

    body = {"message": "m", "metadata": {}, "allow_empty": True}
    lake.double.fail("commit", "lost")
    assert client.call("POST", f"{ROOT}/branches/main/commits", body=body, recover=recover) == "found"
    lake.double.fail("commit", "status", status=429)
    assert client.call("POST", f"{ROOT}/branches/main/commits", body=body, recover=recover)["message"] == "m"
    assert len(asked) == 1, "a 429 promises that nothing was done"
    assert lake.double.count("commit") == 3


def test_nobody_listening_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        waits: list[float] = []
        client = Client(Credentials(endpoint, "key", "secret"), sleep=waits.append)
        recovered: list[int] = []
        with pytest.raises(Unavailable, match="no connection"):
            client.call("POST", "/repositories", body={}, recover=lambda: recovered.append(1))
    assert len(waits) == TRIES - 1
    assert recovered == [], "nothing was sent, so nothing can have been done"


def test_the_proxy_of_the_environment_is_used(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(Unavailable, match="no connection"):
        client_of(lake.double, tries=1).call("GET", f"{ROOT}/branches")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert client_of(lake.double, tries=1).call("GET", f"{ROOT}/branches")["results"]


def test_another_server_is_recognised(lake: Lake) -> None:
    client, _ = waiting_client(lake)
    lake.double.fail("listBranches", "status", status=200, body=b"<html>please log in</html>")
    with pytest.raises(Unavailable, match="is this a lakeFS server"):
        client.call("GET", f"{ROOT}/branches")
    lake.double.fail("listBranches", "rewrite", change=lambda value: {"items": value["results"]})
    with pytest.raises(Exception, match="no results and pagination"):
        lake.versions.branches()
    lake.double.fail(
        "listBranches", "rewrite", change=lambda value: value | {"pagination": {"has_more": True, "next_offset": ""}}
    )
    with pytest.raises(Exception, match="does not go on"):
        lake.versions.branches()


def test_what_a_newer_server_adds_is_passed_over(lake: Lake) -> None:
    lake.published("one", {"a": b"1", "t/b": b"1"})

    def newer(value: Any) -> Any:
        value["novelty"] = {"x": 1}
        for row in value.get("results", []):
            row["novelty"] = [1]
            if "type" in row:
                row["type"] = "moved"
        return value

    for operation in ("listBranches", "getCommit", "logCommits", "listObjects", "statObject", "diffRefs"):
        lake.double.fail(operation, "rewrite", change=newer, times=2 if operation == "getCommit" else 1)
    versions = lake.versions
    assert list(versions.branches()) == ["main"]
    assert [entry.path for entry in versions.entries("main")] == ["a", "t/b"]
    assert versions.entry("main", "a").size == 1
    assert [(change.kind, change.path) for change in versions.diff("main~1", "main")] == [
        ("added", "a"),
        ("added", "t/b"),
    ]
    assert len(list(versions.log("main"))) == 3


def test_an_unknown_repository_is_named(lake: Lake) -> None:
    from mldlc.plan.versions import RefNotFound
    from mldlc.store.lakefs.repository import Repository
    from mldlc.store.lakefs.versions import LakeFSVersions

    stranger = LakeFSVersions(Repository(lake.versions.repository.client, "elsewhere"))
    with pytest.raises(RefNotFound, match="no repository 'elsewhere'"):
        stranger.resolve("main")


def test_importing_the_adapter_is_light() -> None:
    """Neither the client nor what it stands on is loaded before the first request."""
    code = (
        "import sys, json, mldlc.store.lakefs.versions, mldlc.store.lakefs.administration;"
        "print(json.dumps([name for name in ('lakefs_client', 'urllib3', 'yaml', 'polars', 'numpy', 'blake3') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
