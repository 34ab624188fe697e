"""lakeFS's documented answers, written by hand and asked of both stores: so that they cannot share a misunderstanding.

Merges: docs/src/understand/how/merge.md of treeverse/lakeFS. X: no file; A, B, C: contents.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mldlc.plan.versions import Commit, Conflict, Denied, NothingToCommit, RefExists, Strategy, Versions
from tests.lakefs_double.running import running
from tests.store.versions.contract.making import begin, contents, paths, publish, write
from tests.store.versions.making import versions_in


class Case(NamedTuple):
    """One path. result: "!" is a conflict. three: what `dest...source` says of it; two: what `dest..source` says."""

    base: str
    source: str
    dest: str
    result: str
    three: str
    two: str


TABLE = [
    # base source dest   result three-dot   two-dot
    Case("X", "X", "X", "X", "", ""),
    Case("X", "A", "X", "A", "added", "added"),
    Case("X", "X", "A", "A", "", "removed"),
    Case("X", "A", "A", "A", "", ""),
    Case("X", "A", "B", "!", "conflict", "changed"),
    Case("A", "A", "A", "A", "", ""),
    Case("A", "B", "A", "B", "changed", "changed"),
    Case("A", "A", "B", "B", "", "changed"),
    Case("A", "B", "B", "B", "", ""),
    Case("A", "B", "C", "!", "conflict", "changed"),
    Case("A", "X", "A", "X", "removed", "removed"),
    Case("A", "A", "X", "X", "", "added"),
    Case("A", "X", "X", "X", "", ""),
    Case("A", "B", "X", "!", "conflict", "added"),
    Case("A", "X", "B", "!", "conflict", "removed"),
]
CONFLICTS = [case for case in TABLE if case.result == "!"]


@pytest.fixture(params=["embedded", "lakefs"])
def versions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Versions]:
    if request.param == "embedded":
        yield versions_in(tmp_path)
        return
    with running(tmp_path) as (_, versions):
        yield versions


def name(case: Case) -> str:
    """The path of a case."""
    return f"f/{case.base}{case.source}{case.dest}"


def histories(versions: Versions, cases: list[Case]) -> Commit:
    """`main` (dest) and `side` (source) that part at a base, each path as its case says; main's head.

    Both sides have a file of their own too, so that there is something to merge in every case.
    """

    def step(before: str, after: str) -> dict[str, bytes | None]:
        return {
            name(case): None if getattr(case, after) == "X" else getattr(case, after).encode()
            for case in cases
            if not before or getattr(case, before) != getattr(case, after)
        }

    first = {path: data for path, data in step("", "base").items() if data is not None}
    publish(versions, {**first, "always": b"here"})
    versions.branch("side", "main")
    publish(versions, {**step("base", "source"), "only source": b"s"}, "side")
    return publish(versions, {**step("base", "dest"), "only dest": b"d"})


def test_the_table_is_whole() -> None:
    """Every way in which three sides can be equal, different or absent, up to the names of the contents."""
    seen = set()
    for base in "XABC":
        for source in "XABC":
            for dest in "XABC":
                letters = {"X": "X"}
                for letter in (base, source, dest):
                    letters.setdefault(letter, "ABC"[len(letters) - 1])
                seen.add((letters[base], letters[source], letters[dest]))
    assert seen == {case[:3] for case in TABLE}


def test_what_does_not_conflict_merges(versions: Versions) -> None:
    cases = [case for case in TABLE if case.result != "!"]
    head = histories(versions, cases)
    theirs = versions.resolve("side")
    merged = versions.merge("side", "main")
    expected = {name(case): case.result.encode() for case in cases if case.result != "X"}
    own = {"always": b"here", "only source": b"s", "only dest": b"d"}
    assert contents(versions, "main") == expected | own
    assert merged.parents == (head.id, theirs)


@pytest.mark.parametrize(("strategy", "side"), [("source-wins", "source"), ("dest-wins", "dest")])
def test_a_strategy_takes_one_side_of_every_conflict(versions: Versions, strategy: Strategy, side: str) -> None:
    histories(versions, TABLE)
    versions.merge("side", "main", strategy=strategy)
    result = {name(case): getattr(case, side) if case.result == "!" else case.result for case in TABLE}
    expected = {path: letter.encode() for path, letter in result.items() if letter != "X"}
    assert {path: data for path, data in contents(versions, "main").items() if path.startswith("f/")} == expected


def test_without_a_strategy_every_conflict_is_named(versions: Versions) -> None:
    head = histories(versions, TABLE)
    with pytest.raises(Conflict) as error:
        versions.merge("side", "main")
    assert error.value.paths == tuple(sorted(map(name, CONFLICTS)))
    assert versions.commit("main") == head


@pytest.mark.parametrize("case", CONFLICTS, ids=name)
def test_each_conflict_is_one_on_its_own(versions: Versions, case: Case) -> None:
    histories(versions, [case])
    with pytest.raises(Conflict) as error:
        versions.merge("side", "main")
    assert error.value.paths == (name(case),)


def test_two_dots_compare_and_three_dots_say_what_a_merge_would_do(versions: Versions) -> None:
    histories(versions, TABLE)
    three = {path: kind for kind, path in paths(versions.diff("main", "side", "f/", three_dot=True))}
    two = {path: kind for kind, path in paths(versions.diff("main", "side", "f/"))}
    assert three == {name(case): case.three for case in TABLE if case.three}
    assert two == {name(case): case.two for case in TABLE if case.two}


def test_a_merge_without_changes_leaves_the_branch(versions: Versions) -> None:
    publish(versions, {"a": b"1"})
    versions.branch("side", "main")
    head = publish(versions, {"b": b"1"})
    assert versions.merge("side", "main") == head, "source is behind"
    assert versions.merge("main~1", "main") == head
    ahead = versions.merge("main", "side")
    assert ahead.tree == head.tree, "dest is behind: its data is the source's"
    assert ahead.parents[1] == head.id, "and the merge is a commit of its own, no fast-forward"


def test_no_head_is_expected_of_a_merge(versions: Versions) -> None:
    """A branch that moved after one looked is merged into as it is now."""
    publish(versions, {"a": b"0"})
    versions.branch("side", "main")
    publish(versions, {"s": b"1"}, "side")
    versions.commit("main")
    moved = publish(versions, {"m": b"1"})
    assert versions.merge("side", "main").parents[0] == moved.id
    assert set(contents(versions, "main")) == {"a", "s", "m"}


def test_names_are_taken_once(versions: Versions) -> None:
    first = publish(versions, {"a": b"1"})
    versions.tag("v1", "main")
    versions.branch("side", "main")
    publish(versions, {"a": b"2"})
    with pytest.raises(RefExists):
        versions.tag("v1", "main")
    with pytest.raises(RefExists):
        versions.branch("side", "main")
    assert versions.tags()["v1"] == versions.branches()["side"] == first.id


def test_the_default_branch_is_not_deleted(versions: Versions) -> None:
    with pytest.raises(Denied):
        versions.delete_branch("main")
    assert "main" in versions.branches()


def test_nothing_is_not_committed(versions: Versions) -> None:
    publish(versions, {"a": b"1"})
    draft = begin(versions)
    with pytest.raises(NothingToCommit):
        draft.commit("nothing", {})
    write(draft, {"a": b"1"})
    with pytest.raises(NothingToCommit):
        draft.commit("the same", {})
    write(draft, {"b": b"1"})
    draft.remove("b")
    with pytest.raises(NothingToCommit):
        draft.commit("there and back", {})


def test_a_merge_is_reverted_against_its_first_parent(versions: Versions) -> None:
    publish(versions, {"a": b"0"})
    versions.branch("side", "main")
    publish(versions, {"side": b"1", "a": b"1"}, "side")
    publish(versions, {"main": b"1"})
    merge = versions.merge("side", "main")
    made = versions.revert("main", merge.id)
    assert contents(versions, "main") == {"a": b"0", "main": b"1"}
    assert made.parents == (merge.id,)
    assert versions.merge("side", "main") == made, "it is in the history, and does not come back by merging again"


def test_a_log_by_first_parent_is_what_the_branch_was(versions: Versions) -> None:
    versions.branch("side", "main")
    side = [publish(versions, {"s": b"%d" % n}, "side") for n in range(2)]
    main = [publish(versions, {"m": b"%d" % n}) for n in range(2)]
    merge = versions.merge("side", "main")
    chain = [commit.id for commit in versions.log("main", first_parent=True)]
    assert chain[:3] == [merge.id, main[1].id, main[0].id]
    assert not {commit.id for commit in side} & set(chain)
    assert {commit.id for commit in side} <= {commit.id for commit in versions.log("main")}


def test_a_log_of_a_prefix_has_the_commits_and_by_first_parent_the_merges(versions: Versions) -> None:
    publish(versions, {"p/a": b"1"})
    publish(versions, {"q/a": b"1"})
    assert [len(commit.parents) for commit in versions.log("main", "p/")] == [1]
    assert [len(commit.parents) for commit in versions.log("main", "p/", first_parent=True)] == [2]
