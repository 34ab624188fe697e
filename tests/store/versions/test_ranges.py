"""Ranges: bytes there and back, overlays against a dict, where ranges end."""

from __future__ import annotations

import itertools
import statistics
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mldlc.plan.versions import Entry
from mldlc.store.versions.entries import check_removal
from mldlc.store.versions.ranges import EMPTY_RANGE, MAGIC, Cut, decode, encode, from_entries, join, overlay, without
from tests.store.versions.entry_strategies import entries, paths
from tests.store.versions.nodes_memory import by_path, entry, in_order

some = st.lists(entries, max_size=12)


@given(items=st.lists(entries, min_size=1, max_size=12))
def test_bytes_come_back_as_the_same_entries(items: list[Entry]) -> None:
    part = from_entries(items)
    again = decode(encode(part))
    assert list(again.entries()) == list(part.entries()) == in_order(by_path(items))
    assert [again.entry(index) for index in range(len(again))] == list(part.entries())
    assert again.size == sum(item.size for item in by_path(items).values())
    assert encode(again) == encode(from_entries(reversed(in_order(by_path(items)))))


@pytest.mark.parametrize("kinds", [1, 2, 256, 257, 65537])
def test_media_types_of_any_number_come_back(kinds: int) -> None:
    part = from_entries(entry(f"{n:06d}", media=f"type/{n}") for n in range(kinds))
    assert list(decode(encode(part)).media) == [f"type/{n}" for n in range(kinds)]


def test_large_sizes_come_back() -> None:
    part = from_entries([Entry("a", "00" * 32, (1 << 63) - 1), Entry("b", "00" * 32, 1)])
    assert decode(encode(part)).size == 1 << 63


@given(old=some, new=some)
def test_an_overlay_is_a_dict_update(old: list[Entry], new: list[Entry]) -> None:
    merged = overlay(from_entries(old), from_entries(new))
    assert list(merged.entries()) == in_order(by_path(old) | by_path(new))
    assert merged.blob == b"\0".join(merged.paths)


@given(old=some, names=st.lists(paths, unique=True))
def test_what_is_gone_is_left_out(old: list[Entry], names: list[str]) -> None:
    left = without(from_entries(old), sorted(map(check_removal, names)))
    assert list(left.entries()) == [item for item in in_order(by_path(old)) if item.path not in names]


@given(items=some, at=st.integers(0, 12))
def test_slices_join_to_the_whole(items: list[Entry], at: int) -> None:
    part = from_entries(items)
    halves = part.slice(0, min(at, len(part))), part.slice(min(at, len(part)), len(part))
    assert list(join([(half, 0, len(half)) for half in halves]).entries()) == list(part.entries())
    assert list(EMPTY_RANGE.entries()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: b"x" + data[1:],
        lambda data: MAGIC,
    ],
)
def test_other_bytes_are_no_range(damage) -> None:
    with pytest.raises(ValueError, match="range"):
        decode(damage(encode(from_entries([entry("a"), entry("b")]))))


def test_the_format_stays() -> None:
    """Ids of trees written by any release depend on these bytes and cuts."""
    data = encode(from_entries([Entry("a/é", "01" * 32, 258, "text/x"), Entry("b", "ff" * 32, 0)]))
    assert data == (
        b"mldlc.range/1\n" + bytes([2, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0, 1])
        + b"a/\xc3\xa9\0b" + b"\x01" * 32 + b"\xff" * 32 + bytes([2, 1]) + bytes(14) + b"\0text/x" + b"\x01\0"
    )  # fmt: skip
    assert Cut() == (4096, 16384)
    names = [f"part-{n:05d}".encode() for n in range(20_000)]
    assert Cut().ends(names) == [n for n, name in enumerate(names) if crc32(name) * 2654435761 % 2**32 < 2**20]
    assert Cut().ends(names) == CUT_AT


CUT_AT = [2126, 4509, 5904, 11227, 12808, 15000, 17261]


@pytest.mark.parametrize(
    "names",
    [
        [f"data/day={d:04d}/part-{n:05d}.parquet" for d in range(200) for n in range(500)],
        [f"images/{n}.jpg" for n in range(100_000)],
        [f"{n:05x}" for n in range(100_000)],
    ],
    ids=["parts", "numbers", "hex"],
)
def test_ends_fall_like_chance(names: list[str]) -> None:
    ends = Cut(256).ends(sorted(name.encode() for name in names))
    gaps = [after - before for before, after in itertools.pairwise(ends)]
    assert 256 * 0.8 < statistics.mean(gaps) < 256 * 1.25
    assert 0.8 < statistics.pstdev(gaps) / statistics.mean(gaps) < 1.2  # 1 for a geometric distribution
