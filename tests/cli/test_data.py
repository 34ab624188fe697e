"""`mldlc data` itself, `verify`, `gc`, and a lakeFS repository that cannot be reached."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.making import Data, refused, versions, write


def test_verify_names_the_versioned_file(data: Data, raw: Path) -> None:
    assert data("verify").code == 0
    stored = Path(versions().source("main", "raw/a.csv").paths[0])
    stored.chmod(0o644)
    stored.write_text("X" * 8)
    done = data("verify", "--json")
    assert done.code == 1 and done.events[-1] == {"format": "mldlc.verify/1", "status": "failed", "problems": 1}
    assert done.events[0]["kind"] == "damaged" and done.events[0]["path"] == str(stored.absolute())
    assert any("raw/a.csv" in place for place in done.events[0]["places"])
    refused(data("verify", "--repo", "lakefs://lake"), "cared for by its server")


def test_gc_keeps_what_the_policy_keeps(data: Data, raw: Path) -> None:
    old = Path(versions().source("main", "raw/a.csv").paths[0])
    for number in range(3):
        write(raw / "a.csv", f"version {number}")
        data("put", "raw", "--to", "main:raw")
    for path in Path("outputs/store").rglob("*"):
        os.utime(path, (1, 1))
    dry = data("gc", "--keep-commits", "1", "--grace-hours", "0.001", "--dry-run", "--json")
    assert dry.events[-1]["format"] == "mldlc.gc/1" and dry.events[-1]["expired"] > 0 and old.exists()
    assert "would free" in data("gc", "--keep-commits", "1", "--grace-hours", "0.001", "--dry-run").out
    assert "the data of" in data("gc", "--keep-commits", "1", "--grace-hours", "0.001").out and not old.exists()
    assert data("get", "main:raw/a.csv", "-").out == "version 2"
    refused(data("ls", "main~3"), "was collected by the keep policy", code=1)
    assert data("log").out.count("\n") == 5 and data("verify").code == 0
    for flags, word in {
        ("--keep-commits", "0"): "1 or more",
        ("--grace-hours", "0"): "more than 0",
        ("--grace-hours", "nan"): "more than 0",
        ("--keep-days", "-1"): "0 or more",
    }.items():
        refused(data("gc", *flags), word)


def test_help_and_wrong_verbs(data: Data) -> None:
    for args in ([], ["-h"], ["--help"]):
        done = data(*args)
        assert done.code == 0 and "usage: mldlc data VERB" in done.out
    refused(data("lgo"), "no verb 'data lgo'", "did you mean 'log'?")
    refused(data("put", "x", "--too", "y"), "unknown flag '--too'", "did you mean '--to'?")
    for verb in ("ls", "log", "diff", "tag", "branch", "verify", "gc", "get", "rm"):
        args = {"diff": ["main"], "get": ["main"], "rm": ["main:a"]}.get(verb, [])
        refused(
            data(verb, *args), "there is no store under", "put data into it" if verb not in ("verify", "gc") else ""
        )
    assert not Path("outputs").exists()
    done = data("--json", "log")
    assert done.code == 2 and done.events[-1]["format"] == "mldlc.data.log/1"
    assert data("verify", "--json").events[-1]["format"] == "mldlc.verify/1"


def test_lakefs_without_credentials_is_one_line(data: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if "LAKE" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    refused(data("log", "--repo", "lakefs://lake"), "lakefs", code=1)
    refused(data("ls", "lakefs://lake/main/raw"), "write lakefs://lake@main/raw")
