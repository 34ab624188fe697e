"""The secret key is in no message, chain of errors, repr, log or picture of what the adapter holds."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mldlc.plan.versions import VersionsError
from mldlc.store.lakefs.client import TRIES, Client
from mldlc.store.lakefs.repository import Repository
from mldlc.store.lakefs.versions import LakeFSVersions
from tests.lakefs_double.server import ACCESS_KEY, SECRET_KEY
from tests.store.lakefs.conftest import Lake

SIGNATURE = "X-Amz-Signature"  # in presigned addresses, which open the storage to anyone for some minutes
TOKENS = (SECRET_KEY, base64.b64encode(f"{ACCESS_KEY}:{SECRET_KEY}".encode()).decode(), SIGNATURE)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it came from."""
    while error is not None:
        yield error
        yield from chain(error.__cause__)
        error = error.__context__


def leaks(*texts: object) -> list[str]:
    """Which secrets show in some texts."""
    joined = "\n".join(map(str, texts))
    return [token for token in TOKENS if token in joined]


def picture(error: BaseException) -> list[object]:
    """Everything that an error shows to those who print it."""
    parts: list[object] = ["".join(traceback.format_exception(error))]
    for item in chain(error):
        parts += [str(item), repr(item), item.args, vars(item), getattr(item, "__notes__", "")]
    return parts


def _fail(lake: Lake, operation: str, kind: str, **fields: object) -> None:
    lake.double.fail(operation, kind, times=fields.pop("times", TRIES), **fields)


def _broken(versions: LakeFSVersions, **fields: str) -> LakeFSVersions:
    own = versions.repository.client.credentials
    changed = dataclasses.replace(own, **fields)
    return LakeFSVersions(Repository(Client(changed, sleep=lambda seconds: None), "lake"))


TROUBLES: dict[str, Callable[[Lake, Path], object]] = {
    "denied": lambda lake, path: _broken(lake.versions, access_key="AKIAWRONG").resolve("main"),
    "no connection": lambda lake, path: _broken(lake.versions, endpoint="http://127.0.0.1:1").resolve("main"),
    "no name": lambda lake, path: _broken(lake.versions, endpoint="http://lakefs.invalid").resolve("main"),
    "not TLS": lambda lake, path: _broken(
        lake.versions, endpoint=lake.double.endpoint.replace("http:", "https:")
    ).resolve("main"),
    "dropped": lambda lake, path: (_fail(lake, "getCommit", "drop"), lake.versions.resolve("main")),
    "echo": lambda lake, path: (
        _fail(lake, "getCommit", "status", times=1, status=400, body=json.dumps({"message": SECRET_KEY}).encode()),
        lake.versions.resolve("main"),
    ),
    "echo as text": lambda lake, path: (
        _fail(lake, "getCommit", "status", status=500, body=f"key {SECRET_KEY} <".encode()),
        lake.versions.resolve("main"),
    ),
    "html": lambda lake, path: (
        _fail(lake, "listBranches", "status", times=1, status=200, body=b"<html>"),
        lake.versions.branches(),
    ),
    "storage denied": lambda lake, path: (
        _fail(lake, "storage", "status", times=3, status=403),
        lake.versions.draft("main", run="r").put("a", path),
    ),
    "storage gone": lambda lake, path: (
        _fail(lake, "storage", "drop"),
        lake.versions.draft("main", run="r").put("a", path),
    ),
    "unknown ref": lambda lake, path: lake.versions.resolve("mian"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_error_shows_a_secret(lake: Lake, tmp_path: Path, trouble: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (9 << 20))
    caplog.set_level(logging.DEBUG)
    with pytest.raises(VersionsError) as error:
        TROUBLES[trouble](lake, path)
    assert leaks(*picture(error.value)) == []
    assert set(leaks(caplog.text)) <= {SIGNATURE}, "urllib3 logs addresses, presigned ones too, when told to debug"


def test_nothing_that_one_holds_shows_a_secret(lake: Lake, tmp_path: Path) -> None:
    lake.published("r", {"a": b"1"})
    versions = lake.versions
    draft = versions.draft("main", run="s")
    source = versions.source("main")
    stream = versions.open("main", "a")
    held = [versions, versions.repository, versions.repository.client, versions.repository.client.credentials]
    held += [draft, source, stream, versions.commit("main"), list(versions.entries("main")), versions.caps]
    assert leaks(*(repr(item) for item in held), *(f"{item}" for item in held)) == []
    assert source.storage_options["aws_secret_access_key"] == SECRET_KEY, "who reads gets it"
    with pytest.raises(TypeError):
        pickle.dumps(versions)
    stream.close()


def test_nothing_secret_reaches_the_repository(lake: Lake) -> None:
    lake.drafted("r", {"a": b"1"}, {"k": "v"}).publish("main", metadata={"k": "v"}, tag="v1")
    kept = [lake.state.attributes(entry) for entry in lake.state.entries("main")]
    assert leaks(*lake.state.log("main", [], False), *kept) == []


def test_the_checks_would_see_one() -> None:
    try:
        try:
            raise ValueError(f"inner {SECRET_KEY}")
        except ValueError:
            raise VersionsError("outer") from None
    except VersionsError as error:
        assert leaks(*picture(error)) == [SECRET_KEY], "from None hides a context, and does not remove it"
