"""Differences, logs, common ancestors."""

from __future__ import annotations

import pytest

from mldlc.plan.versions import Change, Versions, VersionsError
from tests.store.versions.contract.making import paths, publish


class HistoryContract:
    """Differences, logs, common ancestors."""

    def test_a_difference_has_both_sides(self, versions: Versions) -> None:
        first = publish(versions, {"keep": b"0", "change": b"1", "go": b"2"})
        second = publish(versions, {"change": b"new", "go": None, "come": b"3"})
        found = list(versions.diff(first.id, second.id))
        one = {entry.path: entry for entry in versions.entries(first.id)}
        two = {entry.path: entry for entry in versions.entries(second.id)}
        assert found == [
            Change("changed", "change", one["change"], two["change"]),
            Change("added", "come", None, two["come"]),
            Change("removed", "go", one["go"], None),
        ]
        assert paths(versions.diff(second.id, first.id)) == [
            ("changed", "change"),
            ("removed", "come"),
            ("added", "go"),
        ]
        assert paths(versions.diff(first.id, second.id, "co")) == [("added", "come")]
        assert list(versions.diff("main", second.id)) == []

    def test_a_long_difference(self, versions: Versions) -> None:
        publish(versions, {f"d/{n:03}": b"old" for n in range(0, 120, 2)})
        publish(versions, {f"d/{n:03}": b"new" for n in range(0, 120, 3)} | {f"z/{n}": b"" for n in range(5)})
        found = list(versions.diff("main~1", "main"))
        expected = {f"d/{n:03}": "added" if n % 2 else "changed" for n in range(0, 120, 3)}
        expected |= {f"z/{n}": "added" for n in range(5)}
        assert {change.path: change.kind for change in found} == expected
        assert [change.path for change in found] == sorted(expected)
        for change in found:
            assert (change.left is None) == (change.kind == "added")
            assert change.right is not None and change.right.size == (3 if change.path[0] == "d" else 0)

    def test_depth_folds_folders(self, versions: Versions) -> None:
        publish(versions, {"t/a/x": b"1", "t/a/y": b"1", "t/b/c/x": b"1", "t/f": b"1", "u/x": b"1"})
        publish(versions, {"t/a/x": b"2", "t/a/y": b"2", "t/b/c/x": b"2", "t/f": b"2"})
        assert paths(versions.diff("main~1", "main", depth=1)) == [("prefix_changed", "t/")]
        assert paths(versions.diff("main~1", "main", "t/", depth=1)) == [
            ("prefix_changed", "t/a/"),
            ("prefix_changed", "t/b/"),
            ("changed", "t/f"),
        ]
        assert paths(versions.diff("main~1", "main", "t/b/", depth=1)) == [("prefix_changed", "t/b/c/")]
        assert paths(versions.diff("main~1", "main", depth=2)) == [
            ("prefix_changed", "t/a/"),
            ("prefix_changed", "t/b/"),
            ("changed", "t/f"),
        ]
        with pytest.raises(VersionsError):
            list(versions.diff("main~1", "main", depth=0))

    def test_three_dot_is_what_a_merge_would_bring(self, versions: Versions) -> None:
        publish(versions, {"ours": b"0", "both": b"0", "same": b"0", "theirs": b"0"})
        versions.branch("side", "main")
        publish(versions, {"ours": b"1", "both": b"1", "same": b"1"})
        publish(versions, {"theirs": b"2", "both": b"2", "same": b"1"}, "side")
        assert paths(versions.diff("main", "side", three_dot=True)) == [("conflict", "both"), ("changed", "theirs")]
        assert paths(versions.diff("side", "main", three_dot=True)) == [("conflict", "both"), ("changed", "ours")]
        assert paths(versions.diff("main", "side")) == [("changed", "both"), ("changed", "ours"), ("changed", "theirs")]
        assert paths(versions.diff("main", "side", "t", three_dot=True)) == [("changed", "theirs")]

    def test_a_log_goes_back_newest_first(self, versions: Versions) -> None:
        merges = [publish(versions, {"a": b"%d" % n}, message=f"m{n}") for n in range(3)]
        chain = list(versions.log("main", first_parent=True))
        assert [commit.id for commit in chain[:3]] == [commit.id for commit in reversed(merges)]
        assert chain[3].parents == ()
        whole = list(versions.log("main"))
        assert {commit.id for commit in whole} >= {commit.id for commit in chain}
        assert len(whole) == 7
        assert [commit.time for commit in whole] == sorted((commit.time for commit in whole), reverse=True)
        assert [commit.id for commit in versions.log("main", limit=2)] == [commit.id for commit in whole[:2]]
        assert list(versions.log("main~3", first_parent=True)) == chain[3:]

    def test_a_log_of_a_prefix(self, versions: Versions) -> None:
        publish(versions, {"p/a": b"1"}, message="p1")
        publish(versions, {"q/a": b"1"}, message="q1")
        publish(versions, {"p/a": b"2", "q/a": b"2"}, message="p2")
        publish(versions, {"p/a": None}, message="p3")
        assert [commit.message for commit in versions.log("main", "p/", first_parent=True)] == ["p3", "p2", "p1"]
        assert [commit.message for commit in versions.log("main", "p/", first_parent=True, limit=1)] == ["p3"]
        assert [commit.message for commit in versions.log("main", "q/")] == ["p2", "q1"]
        assert [len(commit.parents) for commit in versions.log("main", "q/")] == [1, 1]
        assert list(versions.log("main", "r/")) == []

    def test_the_merge_base_is_where_branches_parted(self, versions: Versions) -> None:
        parted = publish(versions, {"a": b"1"})
        versions.branch("side", "main")
        main, side = publish(versions, {"b": b"1"}), publish(versions, {"c": b"1"}, "side")
        assert versions.merge_base("main", "side") == versions.merge_base("side", "main") == parted.id
        assert versions.merge_base("main", parted.id) == parted.id
        versions.merge("side", "main")
        assert versions.merge_base("main", "side") == side.id
        assert versions.merge_base("main", main.id) == main.id
