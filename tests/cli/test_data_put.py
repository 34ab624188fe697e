"""`mldlc data put` and `rm`: what lands where, twice in a row, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mldlc.store.versions.embedded import EmbeddedVersions
from tests.cli.making import Data, drafts, paths, refused, versions, write


def test_put_a_folder_then_nothing_then_a_change(data: Data, raw: Path) -> None:
    assert paths() == ["raw/a.csv", "raw/x/b.csv"]
    head = versions().commit("main")
    assert head.message == "first rows"
    again = data("put", "raw", "--to", "main:raw")
    assert again.code == 0 and "Nothing changed" in again.out and versions().resolve("main") == head.id
    write(raw / "a.csv", "a,b\n3,4\n5,6\n")
    done = data("put", "raw", "--to", "main:raw/", "--meta", "origin=census=2", "--json")
    assert [event["path"] for event in done.events[:-1]] == ["raw/a.csv"]
    last = done.events[-1]
    commit = versions().commit("main")
    assert last == {
        "format": "mldlc.data.put/1", "status": "ok", "repository": "store://", "branch": "main", "commit": commit.id,
        "address": f"store://{commit.id}/raw/", "counts": {"added": 0, "changed": 1, "removed": 0}, "bytes": 4,
    }  # fmt: skip
    assert commit.metadata["origin"] == "census=2" and commit.message == "Put 2 files to raw/"
    assert versions().commit(commit.parents[1]).metadata["origin"] == "census=2"
    assert drafts() == []


def test_what_lies_beside_stays_unless_asked(data: Data, raw: Path) -> None:
    (raw / "x/b.csv").unlink()
    write(raw / "c.csv", "c")
    data("put", "raw", "--to", "main:raw")
    assert paths() == ["raw/a.csv", "raw/c.csv", "raw/x/b.csv"]
    write(Path("other.txt"), "o")
    data("put", "other.txt")
    assert data("put", "raw", "--to", "main:raw", "--delete").code == 0
    assert paths() == ["other.txt", "raw/a.csv", "raw/c.csv"]
    refused(data("put", "other.txt", "--to", "main:raw", "--delete"), "--delete takes folders")


def test_where_files_go(data: Data, raw: Path) -> None:
    write(Path("one.csv"), "1")
    write(Path("two.txt"), "2")
    for to, expected in {
        "main": ["one.csv"],
        "main:in": ["in/one.csv"],
        "main:in/": ["in/one.csv"],
        "main:in/uno.csv": ["in/uno.csv"],
        "main:v1.0": ["v1.0/one.csv"],
        "store://main/in": ["in/one.csv"],
    }.items():
        data("branch", "t", "main")
        assert data("put", "one.csv", "--to", to.replace("main", "t")).code == 0
        assert sorted(set(paths("t")) - set(paths())) == expected, to
        data("branch", "-d", "t")
    data("put", "one.csv", "two.txt", "raw", "--to", "main:all")
    assert {"all/one.csv", "all/two.txt", "all/a.csv", "all/x/b.csv"} < set(paths())


def test_put_from_another_folder_and_to_another_store(data: Data, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(raw / "x")
    assert data("put", "../a.csv", "--to", "main:from").code == 0
    assert not (raw / "x/outputs").exists()
    monkeypatch.chdir(raw.parent)
    assert "from/a.csv" in paths()
    monkeypatch.setenv("MLDLC_OUTPUTS", str(raw.parent / "elsewhere"))
    assert data("put", "raw").code == 0
    assert (raw.parent / "elsewhere/store").is_dir() and data("ls", "main:from").code == 2
    assert data("ls", "main:from", "--outputs", "outputs").code == 0


def test_take_shares_the_bytes(data: Data, raw: Path) -> None:
    file = write(raw.parent / "big.bin", "x" * 5000)
    assert data("put", "big.bin", "--take").code == 0
    stored = versions().source("main", "big.bin").paths[0]
    assert file.samefile(stored) and file.stat().st_mode & 0o777 == 0o444
    for extra in ((), ("--take",)):
        assert data("put", "big.bin", "--to", f"main:{len(extra)}/again.bin", *extra).code == 0
    assert data("put", stored, "--to", "main:third.bin").code == 0
    assert {entry.digest for entry in versions().entries("main") if entry.path.endswith(".bin")} == {
        versions().entry("main", "big.bin").digest
    }


def test_put_refuses_what_it_cannot_put(data: Data, raw: Path) -> None:
    head = versions().resolve("main")
    refused(data("put", "rww"), "there is no file or folder rww", "did you mean 'raw'?")
    refused(data("put", "no/where/a.csv"), "the path exists up to")
    refused(data("put", "raw", "--to", "mian:raw"), "no branch 'mian'", "did you mean 'main'?")
    data("tag", "v1")
    refused(data("put", "raw", "--to", "v1:raw"), "no branch 'v1'")
    refused(data("put", "raw", "--meta", "origin"), "no key=value")
    refused(data("put", "raw", "--meta", "mldlc.plan=1"), "begin with 'mldlc.'")
    refused(data("put", "raw", "--meta", "a=1", "--meta", "a=2"), "twice")
    refused(data("put", "raw", "raw", "--to", "main:n"), "would both be n/a.csv")
    Path("empty").mkdir()
    refused(data("put", "empty"), "no files in empty")
    refused(data("put", "."), "holds the outputs")
    Path("links").mkdir()
    Path("links/self").symlink_to(".", target_is_directory=True)
    refused(data("put", "links"), "links to a folder that it lies in")
    Path("links/self").unlink()
    Path("links/gone").symlink_to("nowhere")
    refused(data("put", "links"), "a broken link")
    Path("links/gone").unlink()
    os.mkfifo("links/pipe")
    refused(data("put", "links"), "a pipe")
    refused(data("put", "raw", "--to", "main:../up"), "segment '..'")
    refused(data("put", "raw", "--repo", "s3://bucket"), "store:// or lakefs://NAME")
    assert versions().resolve("main") == head and drafts() == []


def test_a_file_with_a_name_that_is_no_text_is_refused(data: Data, raw: Path) -> None:
    write(Path(os.fsdecode(os.fsencode(raw) + b"/\xff.csv")), "")
    refused(data("put", "raw", "--to", "main:raw"), "not valid UTF-8")


def test_somebody_else_changes_the_same_file_meanwhile(data: Data, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(raw / "a.csv", "mine\n")
    opened = EmbeddedVersions.draft

    def draft(self: EmbeddedVersions, base: str, *, run: str) -> Any:
        mine = opened(self, base, run=run)
        if run != "other":
            theirs = opened(self, "main", run="other")
            theirs.put("raw/a.csv", write(raw.parent / "theirs.csv", "theirs\n"))
            theirs.commit("theirs", {})
            theirs.publish("main")
        return mine

    monkeypatch.setattr(EmbeddedVersions, "draft", draft)
    done = data("put", "raw", "--to", "main:raw", "--json")
    assert done.code == 1 and "both sides changed raw/a.csv" in done.err and "same command again" in done.err
    assert done.events[0] == {"type": "conflict", "path": "raw/a.csv"}
    assert done.events[-1]["format"] == "mldlc.data.put/1" and done.events[-1]["status"] == "failed"
    monkeypatch.undo()
    monkeypatch.chdir(raw.parent)
    assert drafts() == []
    assert data("put", "raw", "--to", "main:raw").code == 0
    assert data("get", "main:raw/a.csv", "-").out == "mine\n"


def test_rm_a_file_a_folder_a_glob(data: Data, raw: Path) -> None:
    refused(data("rm", "main:raw/x"), "is a folder", "-r")
    refused(data("rm", "main"), "which file?")
    refused(data("rm", "main:raw/b.csv"), "did you mean 'a.csv'?")
    assert data("rm", "main:raw/a.csv").code == 0 and paths() == ["raw/x/b.csv"]
    assert versions().commit("main").message == "Remove raw/a.csv"
    assert data("rm", "main:raw/**.csv").code == 0 and paths() == []
    assert data("revert", "main", "main~1").code == 0 and paths() == ["raw/a.csv"]
    assert data("rm", "main:raw", "-r", "-m", "all of it").code == 0 and paths() == []
