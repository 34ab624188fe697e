"""The stat cache and source tokens: fast when nothing changed, never wrong, clear when a file is missing."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from blake3 import blake3

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.source import SourceRef
from mldlc.store.statcache import ALWAYS, StatCache, source_token
from tests.store.making import age


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "rows.csv"
    path.parent.mkdir()
    path.write_bytes(b"a,b\n1,2\n")
    age(path, 100)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(tmp_path / "cache" / "stat.json")


def digest(path: Path) -> str:
    return blake3(path.read_bytes()).hexdigest()


def ref(*paths: Path, **fields) -> SourceRef:
    return SourceRef("file:rows.csv", "rows", tuple(map(str, paths)), **fields)


def test_it_remembers_over_processes(file: Path, cache: StatCache) -> None:
    assert cache.known(file) is None
    assert cache.file_digest(file) == digest(file) == cache.known(file)
    cache.save()
    assert StatCache(cache.path).known(str(file)) == digest(file)
    assert list(cache.path.parent.iterdir()) == [cache.path]


def test_it_answers_without_reading(file: Path, cache: StatCache) -> None:
    cache.file_digest(file)
    cache.save()
    text = cache.path.read_text().replace(digest(file), "remembered")
    cache.path.write_text(text)
    assert StatCache(cache.path).file_digest(file) == "remembered"


def test_any_change_is_seen(file: Path, cache: StatCache) -> None:
    cache.file_digest(file)
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_bytes(b"a,b\n1,3\n")
    os.utime(file, ns=times)  # same size, same mtime, same inode: the ctime tells
    assert cache.known(file) is None
    assert cache.file_digest(file) == digest(file)


def test_a_replaced_file_is_seen(file: Path, cache: StatCache) -> None:
    cache.file_digest(file)
    other = file.with_name("other")
    other.write_bytes(b"a,b\n9,9\n")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert cache.known(file) is None


@pytest.mark.parametrize(("seconds", "kept"), [(0.0, False), (1.5, False), (2.5, True), (-50.0, False)])
def test_a_file_just_written_is_not_believed(file: Path, cache: StatCache, seconds: float, kept: bool) -> None:
    then = time.time() - seconds
    os.utime(file, (then, then))
    assert cache.file_digest(file) == digest(file)
    assert (cache.known(file) is not None) == kept


def test_a_file_that_changes_while_it_is_read_is_not_kept(file: Path, cache: StatCache) -> None:
    before = file.stat()
    file.write_bytes(b"longer than before")
    cache.remember(file, "digest of the old bytes", before)
    assert cache.known(file) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format":1}', '{"format":1,"files":{"a":[1]}}', '{"format":9}', "\0"]
)
def test_a_damaged_cache_is_an_empty_one(file: Path, cache: StatCache, text: str) -> None:
    cache.path.parent.mkdir()
    cache.path.write_text(text)
    assert cache.file_digest(file) == digest(file)
    cache.save()
    assert StatCache(cache.path).known(file) == digest(file)


def test_a_cache_that_cannot_be_written_is_no_error(file: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    cache = StatCache(tmp_path / "cache" / "stat.json")
    assert cache.file_digest(file) == digest(file)
    cache.save()
    assert (tmp_path / "cache").is_file()


def test_nothing_new_writes_nothing(file: Path, cache: StatCache) -> None:
    cache.file_digest(file)
    cache.save()
    age(cache.path, 50)
    stamp = cache.path.stat().st_mtime
    again = StatCache(cache.path)
    again.file_digest(file)
    again.save()
    assert cache.path.stat().st_mtime == stamp
    assert json.loads(cache.path.read_text())["format"] == 1


def test_content_is_names_and_bytes_in_order(file: Path, cache: StatCache, tmp_path: Path) -> None:
    second = file.with_name("more.csv")
    second.write_bytes(b"x")
    token = source_token(ref(file, second), cache)
    assert token is not None and len(token) == 64
    assert source_token(ref(second, file), cache) != token, "order counts"
    moved = tmp_path / "elsewhere"
    file.parent.rename(moved)
    assert source_token(ref(moved / "rows.csv", moved / "more.csv"), cache) == token, "the folder does not"
    (moved / "more.csv").write_bytes(b"y")
    assert source_token(ref(moved / "rows.csv", moved / "more.csv"), cache) != token
    (moved / "more.csv").write_bytes(b"x")
    (moved / "more.csv").rename(moved / "renamed.csv")
    assert source_token(ref(moved / "rows.csv", moved / "renamed.csv"), cache) != token


def test_below_a_root_folders_count(file: Path, cache: StatCache, tmp_path: Path) -> None:
    """As they are partitions: `year=2024/x.csv` that becomes `year=2025/x.csv` is other data, wherever the root lies."""
    for year in (2023, 2024):
        (tmp_path / f"data/year={year}").mkdir(parents=True)
        (tmp_path / f"data/year={year}/x.csv").write_bytes(b"same")

    def token(root: Path, *years: int, identity: str = "content") -> str | None:
        paths = [root / f"year={year}" / "x.csv" for year in years]
        return source_token(ref(*paths, root=str(root), identity=identity), cache)

    before = token(tmp_path / "data", 2023, 2024)
    one = token(tmp_path / "data", 2024)
    stat = token(tmp_path / "data", 2024, identity="stat")
    (tmp_path / "data/year=2024").rename(tmp_path / "data/year=2025")
    assert token(tmp_path / "data", 2023, 2025) != before
    assert token(tmp_path / "data", 2025) != one and token(tmp_path / "data", 2025, identity="stat") != stat
    (tmp_path / "data/year=2025").rename(tmp_path / "data/year=2024")
    (tmp_path / "data").rename(tmp_path / "moved")
    assert token(tmp_path / "moved", 2023, 2024) == before


def test_only_what_is_not_in_the_cache_counts_against_the_limit(file: Path, cache: StatCache) -> None:
    assert source_token(ref(file), cache, limit=7) is None
    token = source_token(ref(file), cache, limit=8)
    assert token is not None
    assert source_token(ref(file), cache, limit=0) == token


def test_stat_sees_size_and_time(file: Path, cache: StatCache) -> None:
    token = source_token(ref(file, identity="stat"), cache, limit=0)
    assert token == source_token(ref(file, identity="stat"), cache) != source_token(ref(file), cache)
    age(file, 50)
    assert source_token(ref(file, identity="stat"), cache) != token


def test_version_and_always(cache: StatCache) -> None:
    assert source_token(ref(identity="version", version="etag-7"), cache) == "etag-7"
    assert source_token(ref(identity="version"), cache) == ALWAYS, "an unknown version must not look equal to itself"
    assert source_token(ref(identity="always"), cache) == ALWAYS


@pytest.mark.parametrize("identity", ["content", "stat"])
def test_a_missing_file_names_the_nearest(file: Path, cache: StatCache, identity: str) -> None:
    with pytest.raises(DiagnosticError) as caught:
        source_token(ref(file.with_name("rowz.csv"), identity=identity), cache)
    (problem,) = caught.value.diagnostics
    assert problem.code == "missing_file"
    assert str(file.with_name("rowz.csv")) in problem.message and "'rows'" in problem.message
    assert problem.hint == "did you mean 'rows.csv'?"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("data/nothing_like_it", "its folder .*data exists, without such a file"),
        ("data/deep/er/rows.csv", "the path exists up to .*data$"),
        ("data/rows.csv/inner", "the path exists up to .*data$"),
        ("data", "needs a file, and .*data is none"),
    ],
)
def test_other_ways_to_be_missing(file: Path, cache: StatCache, path: str, words: str) -> None:
    with pytest.raises(DiagnosticError, match=words):
        source_token(ref(file.parents[1] / path), cache)


def test_no_file_at_all_is_an_error(cache: StatCache) -> None:
    with pytest.raises(DiagnosticError, match="source 'rows' names no file"):
        source_token(ref(), cache)
