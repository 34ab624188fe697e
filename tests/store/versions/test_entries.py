"""Paths and values that come in: what is refused, one by one and many at once, and by what message."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldlc.plan.versions import Entry, InvalidPath, VersionsError
from mldlc.store.versions.entries import check_path, check_paths, check_removal, check_values, prefix_span
from tests.store.versions.entry_strategies import paths, prefixes
from tests.store.versions.nodes_memory import entry

BAD = {
    "": "empty",
    "/a": "begins with a '/'",
    "a/": "ends with a '/'",
    "/": "begins with a '/'",
    "a//b": "has '//'",
    ".": "segment '.'",
    "a/./b": "segment '.'",
    "..": "segment '..'",
    "../a": "segment '..'",
    "a/..": "segment '..'",
    "a\0b": "NUL",
    "a\ud800": "not valid UTF-8",
    "é" * 513: "1026 bytes",
}
GOOD = ["a", "a/b", ".a", "..a", "a.", "a..", "...", "a/...", " ", "-", "\n", "a\\b", "é" * 512, "\U0010ffff"]


@pytest.mark.parametrize("path", BAD)
def test_a_bad_path_is_refused_alone_and_among_good_ones(path: str) -> None:
    with pytest.raises(InvalidPath, match=re.escape(BAD[path])) as caught:
        check_path(path)
    assert isinstance(caught.value, VersionsError)
    for at in range(3):
        many = ["a", "b/c"]
        many.insert(at, path)
        with pytest.raises(InvalidPath, match=re.escape(BAD[path])):
            check_paths(many)


def test_good_paths_are_taken_as_they_are() -> None:
    assert [check_path(path) for path in GOOD] == [path.encode() for path in GOOD]
    assert check_paths(GOOD) == [path.encode() for path in GOOD]
    assert check_paths([]) == []


@given(many=st.lists(st.text(st.sampled_from("a./\0é"), max_size=5), max_size=4))
def test_many_at_once_are_judged_as_one_by_one(many: list[str]) -> None:
    try:
        expected = [check_path(path) for path in many]
    except InvalidPath as error:
        with pytest.raises(InvalidPath, match=re.escape(str(error))):
            check_paths(many)
    else:
        assert check_paths(many) == expected


@given(name=paths, others=st.lists(paths))
def test_a_removal_spans_the_name_or_what_is_below(name: str, others: list[str]) -> None:
    low, high = check_removal(name)
    assert [path for path in others if low <= path.encode() < high] == [path for path in others if path == name]
    low, high = check_removal(name + "/")
    assert [path for path in others if low <= path.encode() < high] == [p for p in others if p.startswith(name + "/")]


@given(prefix=prefixes, after=st.one_of(st.just(""), paths), others=st.lists(paths))
def test_a_prefix_spans_what_begins_with_it(prefix: str, after: str, others: list[str]) -> None:
    low, high = prefix_span(prefix, after)
    inside = [path for path in others if low <= path.encode() < high]
    assert inside == [path for path in others if path.startswith(prefix) and path.encode() > after.encode()]


@pytest.mark.parametrize("name", ["", "/", "a//", "../"])
def test_a_bad_removal_is_refused(name: str) -> None:
    with pytest.raises(InvalidPath):
        check_removal(name)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"digest": "etag:1"}, "digest 'etag:1'"),
        ({"digest": "AB" * 32}, "lower-case"),
        ({"digest": "ab " * 21 + "a"}, "hex"),
        ({"digest": "ab" * 31}, "64"),
        ({"digest": "g" * 64}, "hex"),
        ({"size": -1}, "size -1"),
        ({"size": 1 << 63}, "size 9223372036854775808"),
        ({"size": 1 << 64}, "size 18446744073709551616"),
        ({"size": 1.5}, "size 1.5"),
        ({"media": "a\0"}, "NUL"),
        ({"media": "é" * 128}, "255 bytes"),
    ],
)
def test_a_bad_value_is_refused_with_its_path(changed: dict[str, object], message: str) -> None:
    bad = entry("the/path")._replace(**changed)
    with pytest.raises(ValueError, match=message) as caught:
        check_values([entry("a"), bad, entry("z")])
    assert "the/path" in str(caught.value)


def test_values_come_back_as_columns() -> None:
    digests, sizes, media = check_values([Entry("a", "ab" * 32, 0, "x"), Entry("b", "01" * 32, (1 << 63) - 1)])
    assert (digests, media) == (b"\xab" * 32 + b"\x01" * 32, ["x", ""])
    assert sizes == bytes(8) + b"\xff" * 7 + b"\x7f"
