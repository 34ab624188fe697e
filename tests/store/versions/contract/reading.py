"""Entries, digests, sources, streams: what is read at a ref."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

from mldlc.plan.versions import Entry, PathNotFound, Versions
from mldlc.store.hashing import hash_bytes
from mldlc.store.versions.digests import entries_digest
from tests.store.versions.contract.making import begin, contents, publish


class ReadingContract:
    """Entries, digests, sources, streams."""

    def test_entries_come_by_path_under_a_prefix_after_a_path(self, versions: Versions, tmp_path: Path) -> None:
        names = ["a", "a/b", "a/c/d", "ab", "Z", "ä/ö ü+%#?&=.txt", "数/据", "a-b"]  # `a` is a file and a folder
        for number, name in enumerate(names):
            (tmp_path / str(number)).write_text(name)
        draft = begin(versions)
        draft.put_many({name: tmp_path / str(number) for number, name in enumerate(names)})
        draft.commit("", {})
        draft.publish("main")
        found = list(versions.entries("main"))
        assert [entry.path for entry in found] == sorted(names)
        assert all(entry == Entry(entry.path, hash_bytes(data := entry.path.encode()), len(data)) for entry in found)
        assert [entry.path for entry in versions.entries("main", "a/")] == ["a/b", "a/c/d"]
        assert [entry.path for entry in versions.entries("main", "a")] == ["a", "a-b", "a/b", "a/c/d", "ab"]
        assert [entry.path for entry in versions.entries("main", "a", after="a/b")] == ["a/c/d", "ab"]
        assert list(versions.entries("main", "nothing")) == []
        assert contents(versions, "main") == {name: name.encode() for name in names}

    def test_many_entries(self, versions: Versions) -> None:
        publish(versions, {f"d{n % 3}/{n:03}": b"%d" % n for n in range(100)})
        assert len(list(versions.entries("main"))) == 100
        assert [entry.path for entry in versions.entries("main", "d1/", after="d1/090")] == [
            "d1/091",
            "d1/094",
            "d1/097",
        ]

    def test_one_entry(self, versions: Versions) -> None:
        publish(versions, {"data/train.csv": b"1"})
        assert versions.entry("main", "data/train.csv") == Entry("data/train.csv", hash_bytes(b"1"), 1)
        with pytest.raises(PathNotFound, match=r"data/train\.csv"):
            versions.entry("main", "data/trian.csv")
        with pytest.raises(PathNotFound):
            versions.entry("main", "data")

    def test_a_digest_is_of_the_content_and_of_nothing_else(self, versions: Versions) -> None:
        first = publish(versions, {"p/a": b"1", "p/b": b"2", "q": b"3"})
        seen = versions.digest("main", "p/")
        assert seen == entries_digest([Entry("p/b", hash_bytes(b"2"), 1), Entry("p/a", hash_bytes(b"1"), 1)])
        publish(versions, {"p/a": b"0", "q": b"4"})
        assert versions.digest("main", "p/") != seen
        publish(versions, {"p/a": b"1"})
        assert versions.digest("main", "p/") == seen
        assert versions.digest(first.id, "q") != versions.digest("main", "q")
        assert versions.digest("main", "none/") == entries_digest([])

    def test_partitions_are_digests_one_level_down(self, versions: Versions) -> None:
        publish(versions, {"t/x=1/a": b"1", "t/x=1/b/c": b"2", "t/x=2/a": b"3", "t/x": b"4", "t/x-": b"5", "u": b"6"})
        found = versions.partitions("main", "t/")
        folders = {name: versions.digest("main", f"t/{name}") for name in ("x-", "x=1/", "x=2/")}
        assert found == {"x": found["x"], **folders}
        assert found["x"] == entries_digest([versions.entry("main", "t/x")])
        assert list(versions.partitions("main")) == ["t/", "u"]
        assert versions.partitions("main", "none/") == {}

    def test_a_stream_can_be_read_in_pieces_and_moved_in(self, versions: Versions) -> None:
        data = bytes(range(256)) * 9000
        publish(versions, {"a": data, "empty": b""})
        with versions.open("main", "a") as file:
            assert file.read(10) == data[:10]
            assert file.seek(-5, io.SEEK_END) == len(data) - 5
            assert file.read() == data[-5:]
            assert file.read() == b""
            file.seek(2_000_000)
            assert file.read(100) == data[2_000_000:2_000_100]
        with versions.open("main", "empty") as file:
            assert file.read() == b""
        with pytest.raises(PathNotFound):
            versions.open("main", "b")

    def test_polars_reads_a_source(self, versions: Versions, tmp_path: Path) -> None:
        draft = begin(versions)
        for part in range(3):
            frame = pl.DataFrame({"part": [part] * 100, "value": range(100)})
            frame.write_parquet(tmp_path / "part.parquet")
            draft.put(f"table/part={part}/data.parquet", tmp_path / "part.parquet")
        draft.path("table/notes.txt").write_text("no table")
        draft.commit("a table", {})
        first = draft.publish("main")
        publish(versions, {"table/part=0/data.parquet": b"not parquet any more"})
        source = versions.source(first.id, "table/**/*.parquet")
        assert source.logical == tuple(f"table/part={part}/data.parquet" for part in range(3))
        scan = pl.scan_parquet(list(source.paths), storage_options=dict(source.storage_options) or None)
        assert scan.filter(pl.col("part") == 2).select(pl.col("value").sum()).collect().item() == 4950
        assert versions.source("main", "table/*.txt").logical == ("table/notes.txt",)
        with pytest.raises(PathNotFound):
            versions.source("main", "table/*.csv")

    def test_a_glob_that_matches_nothing_says_what_would(self, versions: Versions) -> None:
        commit = publish(versions, {"raw/day=1/a.csv": b"1", "raw/b.txt": b"2"}).id
        for glob, hint in {
            "raw": "it is a folder: write 'raw/' for all below it",
            "raw/*.csv": r"'\*\*' crosses folders: 'raw/\*\*/\*\.csv'",
            "raw/c.txt": "did you mean 'raw/b.txt'",
        }.items():
            with pytest.raises(PathNotFound, match=f"^main .{commit[:12]}. has no file .*; {hint}"):
                versions.source("main", glob)
            with pytest.raises(PathNotFound, match=f"^{commit[:12]} has no file .*; {hint}"):
                versions.source(commit, glob)
