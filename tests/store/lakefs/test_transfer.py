"""Uploads and downloads: nothing is sent twice, memory stays flat, what breaks off goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mldlc.plan.versions import Unavailable, VersionsError
from mldlc.store.lakefs import transfer
from mldlc.store.lakefs.client import TRIES, ApiError
from mldlc.store.lakefs.listing import DIGEST_KEY
from tests.lakefs_double.running import running
from tests.lakefs_double.server import ACCESS_KEY, SECRET_KEY
from tests.store.lakefs.conftest import Lake

MB = 1 << 20


def sent(lake: Lake) -> Counter[str]:
    """How often bytes came, through the server and to the storage."""
    kinds = Counter(request.operation for request in lake.double.requests if request.method in ("POST", "PUT"))
    return Counter({name: kinds[name] for name in ("uploadObject", "storage", "linkPhysicalAddress") if kinds[name]})


def test_only_large_files_are_staged(lake: Lake, tmp_path: Path) -> None:
    sizes = {"empty": 0, "small": 100, "just": transfer.LARGE, "large": transfer.LARGE + 1}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    draft = lake.versions.draft("main", run="r")
    draft.put_many({name: tmp_path / name for name in sizes})
    assert sent(lake) == {"uploadObject": 3, "storage": 1, "linkPhysicalAddress": 1}
    draft.commit("", {})
    for name in sizes:
        with lake.versions.open(draft.head, name) as file:
            assert file.read() == (tmp_path / name).read_bytes()
    for entry in lake.versions.entries(draft.head):
        kept = lake.state.attributes(lake.state.entry(draft.head, entry.path))
        assert kept.metadata == {DIGEST_KEY: entry.digest}
        assert kept.content_type == "application/octet-stream"


def test_without_presigned_addresses_all_goes_through_the_server(tmp_path: Path) -> None:
    with running(tmp_path, presign=False) as (double, versions):
        lake = Lake(double, versions)
        (tmp_path / "large").write_bytes(b"x" * (transfer.LARGE + 1))
        assert "presign" not in versions.caps
        draft = versions.draft("main", run="r")
        draft.put("large", tmp_path / "large")
        assert sent(lake) == {"uploadObject": 1}


def test_a_server_that_gives_no_address_after_all(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * (transfer.LARGE + 1))
    lake.double.fail("getPhysicalAddress", "rewrite", change=lambda value: {**value, "presigned_url": None})
    lake.versions.draft("main", run="r").put("large", tmp_path / "large")
    assert sent(lake) == {"uploadObject": 1}


def test_what_the_branch_has_is_not_sent_again(lake: Lake, tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    files = {f"data/{number:02}": tmp_path / f"{number}" for number in range(50)}
    first = lake.versions.draft("main", run="first")
    first.put_many(files)
    first.commit("", {})
    first.publish("main")
    before = sent(lake)
    (tmp_path / "7").write_bytes(b"seven")
    lists = lake.double.count("listObjects")
    second = lake.versions.draft("main", run="second")
    second.put_many(files)
    assert sent(lake) - before == {"uploadObject": 1}
    assert lake.double.count("listObjects") == lists + 1
    assert lake.double.count("statObject") == 0
    second.put_many(files)
    second.put("data/07", tmp_path / "7")
    second.path("data/08").write_bytes(b"8")
    second.commit("", {})
    assert sent(lake) - before == {"uploadObject": 1}


def test_progress_ends_at_all_bytes(lake: Lake, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    lake.versions.progress = lambda done, total: calls.append((done, total))
    files = {}
    for number in range(6):
        (tmp_path / f"{number}").write_bytes(bytes([number]) * (number * 700_000))
        files[f"f{number}"] = tmp_path / f"{number}"
    lake.double.fail("uploadObject", "cut", skip=2)
    lake.versions.draft("main", run="r").put_many(files)
    total = 15 * 700_000
    assert {item[1] for item in calls} == {total}
    assert calls[-1] == (total, total)
    assert all(0 <= done <= total for done, _ in calls)
    assert len(calls) > 15


@pytest.mark.parametrize("kind", ["drop", "lost", "cut"])
def test_a_broken_upload_is_sent_again(lake: Lake, tmp_path: Path, kind: str) -> None:
    data = os.urandom(3 * MB)
    (tmp_path / "a").write_bytes(data)
    draft = lake.versions.draft("main", run="r")
    lake.double.fail("uploadObject", kind, times=2)
    draft.put("a", tmp_path / "a")
    draft.commit("", {})
    with lake.versions.open(draft.head, "a") as file:
        assert file.read() == data


@pytest.mark.parametrize(
    ("operation", "fields"),
    [
        ("storage", {"kind": "status", "status": 403}),  # the address has expired
        ("storage", {"kind": "status", "status": 500}),
        ("storage", {"kind": "drop"}),
        ("storage", {"kind": "lost"}),
        ("linkPhysicalAddress", {"kind": "status", "status": 409}),  # a commit came in between
        ("linkPhysicalAddress", {"kind": "status", "status": 503}),
        ("linkPhysicalAddress", {"kind": "drop"}),
        ("linkPhysicalAddress", {"kind": "lost"}),
        ("getPhysicalAddress", {"kind": "cut"}),
    ],
)
def test_a_broken_staging_is_done_again(lake: Lake, tmp_path: Path, operation: str, fields: dict[str, object]) -> None:
    data = os.urandom(transfer.LARGE + 5)
    (tmp_path / "a").write_bytes(data)
    draft = lake.versions.draft("main", run="r")
    lake.double.fail(operation, times=1, **fields)
    draft.put("a", tmp_path / "a")
    draft.commit("", {})
    with lake.versions.open(draft.head, "a") as file:
        assert file.read() == data


def test_a_storage_that_refuses_for_good_is_named_without_its_address(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (transfer.LARGE + 1))
    draft = lake.versions.draft("main", run="r")
    lake.double.fail("storage", "status", status=403, times=transfer.ADDRESSES)
    with pytest.raises(ApiError, match="uploading a to its storage") as error:
        draft.put("a", tmp_path / "a")
    assert "Signature" not in str(error.value) and "http" not in str(error.value).replace("(HTTP", "")


def test_a_file_that_is_written_meanwhile_is_refused(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3 * MB)
    for change in (lambda: path.write_bytes(b"y" * 3 * MB), lambda: path.write_bytes(b"short")):
        item = transfer.prepare("a", path)
        change()
        with pytest.raises(VersionsError, match="was written while it was uploaded"):
            transfer.send_all(lake.versions.repository, "main", [item], presign=False, progress=None)
    assert lake.state.uncommitted("main") == []


def test_the_first_error_stops_the_rest(lake: Lake, tmp_path: Path) -> None:
    for number in range(200):
        (tmp_path / f"{number}").write_bytes(b"%d" % number)
    draft = lake.versions.draft("main", run="r")
    lake.double.fail("uploadObject", "status", status=403, skip=20)
    with pytest.raises(VersionsError):
        draft.put_many({f"f{number}": tmp_path / f"{number}" for number in range(200)})
    assert sent(lake)["uploadObject"] < 150


@pytest.mark.parametrize("presign", [True, False])
def test_a_stream_that_breaks_off_goes_on_where_it_was(tmp_path: Path, presign: bool) -> None:
    data = os.urandom(5 * MB)
    with running(tmp_path, presign=presign) as (double, versions):
        Lake(double, versions).published("r", {"a": data})
        place = "storage" if presign else "getObject"
        double.fail(place, "cut", times=3)
        with versions.open("main", "a") as file:
            assert file.read() == data
        shares = [request.sent for request in double.requests if request.operation == place and request.method == "GET"]
        assert len(shares) == 4 and sum(shares) == len(data), "no byte twice"


def test_a_stream_that_breaks_off_always_is_unavailable(lake: Lake) -> None:
    lake.published("r", {"a": os.urandom(2 * MB)})
    with lake.versions.open("main", "a") as file:
        file.seek(-1, os.SEEK_END)
        lake.double.fail("storage", "cut", times=TRIES)  # half of one byte is none
        with pytest.raises(Unavailable, match=f"a breaks off at byte {2 * MB - 1} of {2 * MB}"):
            file.read()
        assert len(file.read()) == 1, "and it can be tried again"


def test_a_range_that_is_not_honoured_is_skipped_to(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.lakefs_double import server

    data = os.urandom(3 * MB)
    lake.published("r", {"a": data})
    whole = server._Handler._send_file

    def without_range(self: server._Handler, *arguments: object) -> None:
        self.names.pop("range", None)
        whole(self, *arguments)

    monkeypatch.setattr(server._Handler, "_send_file", without_range)
    with lake.versions.open("main", "a") as file:
        file.seek(2_500_000)
        assert file.read() == data[2_500_000:]


def test_an_answer_without_its_length_is_read_whole(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.lakefs_double import server

    data = os.urandom(MB)
    lake.published("r", {"a": data})
    head = server._Handler._head

    def without_length(self: server._Handler, status: int, headers: dict[str, str]) -> None:
        if self.operation == "storage":
            self.close_connection = True
            headers = {name: value for name, value in headers.items() if name != "Content-Length"} | {
                "Connection": "close"
            }
        head(self, status, headers)

    monkeypatch.setattr(server._Handler, "_head", without_length)
    with lake.versions.open("main", "a") as file:
        assert file.read() == data


CHILD = """
import sys
from pathlib import Path
from mldlc.store.lakefs.client import Client
from mldlc.store.lakefs.credentials import Credentials
from mldlc.store.lakefs.repository import Repository
from mldlc.store.lakefs.versions import LakeFSVersions

endpoint, key, secret, folder, what = sys.argv[1:]
versions = LakeFSVersions(Repository(Client(Credentials(endpoint, key, secret)), "lake"), work=Path(folder))

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

def upload(name, run):
    versions.draft("main", run=run).put(name, Path(folder) / name)

def read(name):
    with versions.open("main", name) as file:
        return sum(len(data) for data in iter(lambda: file.read(1 << 20), b""))

work = {"upload": lambda name: upload(name, what + name), "read": read}[what]
work("warm")
Path("/proc/self/clear_refs").write_text("5")
before = peak()
work("huge")
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("what", "presign"), [("upload", True), ("upload", False), ("read", False)])
def test_200_megabytes_take_no_memory(tmp_path: Path, what: str, presign: bool) -> None:
    """The high-water mark of the process's memory rises by less than 20 MB."""
    with running(tmp_path, presign=presign) as (double, versions):
        with (tmp_path / "huge").open("wb") as file:
            for number in range(50):
                file.write(bytes([number]) * (4 * MB))
        (tmp_path / "warm").write_bytes(os.urandom(12 * MB))
        if what == "read":
            draft = versions.draft("main", run="r")
            draft.put_many({name: tmp_path / name for name in ("huge", "warm")})
            draft.commit("", {})
            draft.publish("main")
        arguments = [double.endpoint, ACCESS_KEY, SECRET_KEY, str(tmp_path), what]
        done = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) < 20
        moved = double.count("storage") if presign else double.count("getObject" if what == "read" else "uploadObject")
        assert moved >= 2
