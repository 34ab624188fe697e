"""`mldlc data --repo lakefs://...`: the same verbs over the wire, against the double of a lakeFS server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mldlc.store.lakefs import administration
from mldlc.store.lakefs.versions import open_lakefs
from tests.cli.making import Data, refused, write
from tests.cli.terminal import on_a_terminal
from tests.lakefs_double.running import running
from tests.lakefs_double.server import ACCESS_KEY, SECRET_KEY, Double

LAKE = "lakefs://lake"


@pytest.fixture
def lake(tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    with running(tmp_path / "server") as (double, _):
        monkeypatch.setenv("MLDLC_LAKEFS_ENDPOINT", double.endpoint)
        monkeypatch.setenv("MLDLC_LAKEFS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("MLDLC_LAKEFS_SECRET_ACCESS_KEY", SECRET_KEY)
        yield double


def test_every_verb(lake: Double, data: Data, tmp_path: Path) -> None:
    write(tmp_path / "raw/a.csv", "1")
    write(tmp_path / "raw/x/b.csv", "2")
    assert data("put", "raw", "--to", f"{LAKE}@main/raw", "-m", "first rows").code == 0
    again = data("put", "raw", "--to", "main:raw", "--repo", LAKE, "--json")
    assert again.code == 0 and again.events[-1]["status"] == "unchanged"
    assert again.events[-1]["address"] == f"{LAKE}@{again.events[-1]['commit']}/raw"
    assert [event["path"] for event in data("ls", f"{LAKE}@main/raw", "--json").events[:-1]] == ["raw/a.csv", "raw/x/"]
    assert "first rows" in data("log", "--repo", LAKE).out.splitlines()[0]
    assert data("tag", "v1", "--repo", LAKE).code == data("branch", "dev", "v1", "--repo", LAKE).code == 0
    assert data("tag", "--repo", LAKE).out.startswith("v1  ")
    data("put", str(write(tmp_path / "d.csv", "dev")), "--to", "dev:raw/a.csv", "--repo", LAKE)
    data("put", str(write(tmp_path / "m.csv", "main!")), "--to", "main:raw/a.csv", "--repo", LAKE)
    assert data("diff", "main...dev", "--repo", LAKE).out.startswith("!")
    refused(data("merge", "dev", "--into", "main", "--repo", LAKE), "both sides changed raw/a.csv", code=1)
    assert data("merge", "dev", "--into", "main", "--strategy", "source-wins", "--repo", LAKE).code == 0
    assert data("get", f"{LAKE}@main/raw/a.csv", "-").out == "dev"
    assert data("revert", "main", "main", "--repo", LAKE).code == 0
    assert data("get", f"{LAKE}@main/raw", "out").code == 0
    assert (tmp_path / "out/a.csv").read_text() == "main!" and (tmp_path / "out/x/b.csv").read_text() == "2"
    assert data("rm", f"{LAKE}@main/raw", "-r").code == 0 and "no files" in data("ls", "--repo", LAKE).out
    assert data("branch", "-d", "dev", "--repo", LAKE).code == data("tag", "-d", "v1", "--repo", LAKE).code == 0
    assert not (tmp_path / "outputs").exists()


def test_a_terminal_shows_how_far_a_transfer_is(lake: Double, data: Data, tmp_path: Path) -> None:
    """Large files go straight to the storage, small ones through the server; both count."""
    for name, size in (("large.bin", 60), ("small.bin", 1)):
        with write(tmp_path / f"raw/{name}", "").open("wb") as file:
            file.truncate(size << 20)
    for args in (("put", "raw", "--to", f"{LAKE}@main/raw"), ("get", f"{LAKE}@main/raw", "out")):
        text = on_a_terminal(tmp_path, *args)
        assert args[0] in text and "64.0" in text, "61 MiB, in the bar's MB"
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert (tmp_path / "out/large.bin").stat().st_size == 60 << 20
    assert {request.operation for request in lake.requests} >= {"storage", "uploadObject", "linkPhysicalAddress"}


def test_what_it_refuses(lake: Double, data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(data("ls", f"{LAKE}@mian"), "did you mean 'main'?")
    refused(data("log", "--repo", "lakefs://lace"), "lace")
    refused(data("branch", "-d", "main", "--repo", LAKE), "default branch", code=1)
    refused(data("verify", "--repo", LAKE), "cared for by its server")
    refused(data("gc", "--repo", LAKE, "--keep-commits", "1"), "cared for by its server")
    monkeypatch.setenv("MLDLC_LAKEFS_SECRET_ACCESS_KEY", "wrong")
    done = data("log", "--repo", LAKE)
    refused(done, "credentials", code=1)
    assert SECRET_KEY not in done.err and "wrong" not in done.err


def test_a_gate_lets_only_checked_merges_in(lake: Double, data: Data, tmp_path: Path) -> None:
    write(tmp_path / "a.csv", "1")
    data("branch", "release-1", "--repo", LAKE)
    printed = data("gate", "main", "release-*")
    assert printed.code == 0 and '      - "release-*"\n' in printed.out
    assert data("gate", "main", "release-*", "--json").events[-1]["text"] == printed.out
    refused(data("gate", "--install"), "the store has no hooks")
    refused(data("gate", "a b"), "branch pattern 'a b'")
    refused(data("gate", "mian", "--install", "--repo", LAKE), "did you mean 'main'?")
    assert data("put", "a.csv", "--repo", LAKE).code == 0
    assert data("gate", "main", "release-*", "--install", "--repo", LAKE).code == 0
    again = data("gate", "main", "release-*", "--install", "--repo", LAKE, "--json")
    assert [event["status"] for event in again.events if "status" in event] == ["unchanged", "unchanged"]
    assert data("get", f"{LAKE}@release-1/_lakefs_actions/mldlc_gate.yaml", "-").out == printed.out
    write(tmp_path / "a.csv", "2")
    for branch in ("main", "release-1"):
        done = data("put", "a.csv", "--repo", LAKE, "--to", branch)
        refused(done, f"a hook refused the merge into {branch}", "no mldlc.plan in its metadata", code=1)
    assert data("get", f"{LAKE}@main/a.csv", "-").out == "1"
    data("branch", "dev", "--repo", LAKE)
    assert data("put", "a.csv", "--repo", LAKE, "--to", "dev").code == 0, "other branches are free"
    refused(data("merge", "dev", "--into", "main", "--repo", LAKE), "a hook refused", code=1)


def test_a_newer_gate_replaces_an_older_one_and_no_edited_one(
    lake: Double, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older one is of a release with another script; the edited one has lost a check."""
    place = f"{LAKE}@main/{administration.GATE_PATH}"
    install = ("gate", "--install", "--repo", LAKE)
    now = data("gate").out
    with monkeypatch.context() as older:
        older.setattr(administration, "GATE_FILE", "older.yaml")
        older.setattr(administration, "files", lambda package: tmp_path)
        text = now.partition("\n")[2].replace("description: merges", "description: then, merges")
        write(tmp_path / "older.yaml", text)
        assert data(*install).code == 0
    assert "then, merges" in data("get", place, "-").out
    refused(data("put", "older.yaml", "--repo", LAKE), "a hook refused", code=1)
    done = data(*install)
    assert done.code == 0 and "1 changed" in done.out and data("get", place, "-").out == now
    edited = now.replace('if plan == nil or plan == "" then', "if false then")
    assert edited != now
    versions = open_lakefs("lake")
    draft = versions.draft("main", run="by-hand")
    draft.path(administration.GATE_PATH).write_text(edited)
    draft.commit("mine", {})
    draft.publish("main", metadata={"mldlc.plan": "p", "mldlc.checks": "passed"})
    refused(data(*install), "the gate of main was edited by hand", f"mldlc data get {place} -", "--force")
    assert data("get", place, "-").out == edited
    assert data(*install, "--force").code == 0 and data("get", place, "-").out == now
    assert data(*install, "--json").events[-1]["status"] == "unchanged"


def test_drafts_that_were_left_go(lake: Double, data: Data) -> None:
    versions = open_lakefs("lake")
    for run in ("20260101T000000Z-abc123-version", "by-hand", f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-abc123-version"):
        versions.draft("main", run=run)
    said = data("gc", "--repo", LAKE, "--dry-run")
    assert said.code == 0 and "would drop 1 drafts" in said.out and "20260101T000000Z-abc123-version" in said.out
    assert len(lake.repository("lake").heads) == 4
    done = data("gc", "--repo", LAKE, "--json")
    assert done.events[-1]["runs"] == ["20260101T000000Z-abc123-version"]
    assert len(lake.repository("lake").heads) == 3
    committed = versions.draft("main", run="20260101T000000Z-fresh1-version")
    committed.path("a").write_text("a")
    committed.commit("just now", {})
    assert data("gc", "--repo", LAKE, "--json").events[-1]["runs"] == [], "somebody committed to it just now"
