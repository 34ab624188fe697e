"""The embedded store behind the port: refs, reading, diffs, merges in crossed histories, reverts, logs, errors."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldlc.plan.versions import (
    Change,
    Conflict,
    Denied,
    InvalidName,
    PathNotFound,
    RefExists,
    RefNotFound,
    Versions,
    VersionsError,
)
from mldlc.store.layout import Store, open_store
from mldlc.store.verify import verify
from mldlc.store.versions.embedded import EmbeddedVersions, open_versions
from mldlc.store.versions.globs import compile_glob, literal_prefix
from mldlc.store.versions.root import ROOT
from mldlc.store.versions.three_way import merged_base
from tests.store.versions.making import commit_on, contents, versions_in


def test_it_is_the_port(versions: EmbeddedVersions) -> None:
    port: Versions = versions
    assert port.caps == {"local-paths", "gc", "verify"} and port.uri == "store://"


def test_an_empty_repository_can_be_read_where_nothing_may_be_written(tmp_path: Path) -> None:
    open_store(tmp_path)
    for path in [tmp_path / "store", *(tmp_path / "store").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(tmp_path.rglob("*"))
    versions = open_versions(Store(tmp_path / "store"))
    assert versions.resolve("main") == ROOT.id == versions.resolve(ROOT.id[:9])
    assert versions.branches() == {"main": ROOT.id} and versions.tags() == {}
    assert list(versions.entries("main")) == [] and list(versions.log("main")) == [ROOT]
    assert versions.digest("main") == versions.digest("main", "x/") and versions.partitions("main") == {}
    assert list(versions.diff("main", "main", three_dot=True)) == []
    with pytest.raises(PathNotFound):
        versions.source("main")
    assert sorted(tmp_path.rglob("*")) == before and verify(versions.store) == []


def test_refs(versions: EmbeddedVersions) -> None:
    ids = [commit_on(versions, "main", {"a": bytes([n])}).id for n in range(3)]
    versions.tag("v1.2-rc_1", "main~1")
    versions.branch("exp", "v1.2-rc_1")
    assert [versions.resolve(ref) for ref in ("main", "main~0", "main~", "main~1", "main~~", "main~1~1", "exp~1")] == [
        ids[2], ids[2], ids[1], ids[1], ids[0], ids[0], ids[0],
    ]  # fmt: skip
    assert versions.resolve(ids[1][:7]) == ids[1] and versions.resolve(ids[1][:20] + "~1") == ids[0]
    assert versions.branches() == {"exp": ids[1], "main": ids[2]} and versions.tags() == {"v1.2-rc_1": ids[1]}


@pytest.mark.parametrize(
    ("ref", "hint"),
    [
        ("mian", "did you mean 'main'"),
        ("v1.1", "did you mean 'v1.0'"),
        ("", "there is main, v1.0"),
        ("../main", "no branch, tag or commit"),
        ("main~9", "goes back further than the history of 'main'"),
        ("deadbeef", "there is no branch"),
        ("a" * 64, "there is no branch"),
        ("main/x", "no branch"),
        ("x" * 300, "no branch"),
        (".", "no branch"),
        ("\0", "no branch"),
        ("mldlc-run-none", "no branch"),
    ],
)
def test_unknown_refs_name_the_nearest(versions: EmbeddedVersions, ref: str, hint: str) -> None:
    versions.tag("v1.0", "main")
    with pytest.raises(RefNotFound, match=hint):
        versions.resolve(ref)


def test_names_of_branches_and_tags(versions: EmbeddedVersions) -> None:
    for name in ("", "-a", "a/b", "a b", "a.b", "mldlc-run-x", "ü", "ab" * 32, "x" * 201, "a~1", "a\n"):
        with pytest.raises(InvalidName, match="branch"):
            versions.branch(name, "main")
    for name in ("", "-a", ".a", "a/b", "a..b", "a.", "a.lock", "ab" * 32, "a~1", "a\n"):
        with pytest.raises(InvalidName, match="tag"):
            versions.tag(name, "main")
    with pytest.raises(RefExists):
        versions.branch("main", "main")
    with pytest.raises(Denied, match="always there"):
        versions.delete_branch("main")
    with pytest.raises(RefNotFound, match="there is no branch 'exp'"):
        versions.delete_branch("exp")
    with pytest.raises(RefNotFound, match="there is no tag 'v1'"):
        versions.delete_tag("v1")
    assert not (versions.store.root / "heads").exists() and not (versions.store.root / "tags").exists()


def test_files_are_read_where_they_lie(versions: EmbeddedVersions) -> None:
    commit_on(
        versions, "main", {"raw/2024/a.parquet": b"a", "raw/2025/b.parquet": b"b", "raw/notes.txt": b"n", "x": b"x"}
    )
    source = versions.source("main", "raw/**/*.parquet")
    assert source.logical == ("raw/2024/a.parquet", "raw/2025/b.parquet") and not source.storage_options
    assert [Path(path).read_bytes() for path in source.paths] == [b"a", b"b"]
    assert all(Path(path).is_absolute() for path in source.paths)
    assert versions.source("main", "raw/*").logical == ("raw/notes.txt",)
    assert versions.source("main", "raw/").logical == versions.source("main", "raw/**").logical != ()
    assert len(versions.source("main").logical) == 4
    with pytest.raises(PathNotFound, match=r"has no file 'raw/\*\.csv'"):
        versions.source("main", "raw/*.csv")
    with pytest.raises(PathNotFound, match=r"no file 'raw/note\.txt'; did you mean 'raw/notes\.txt'"):
        versions.entry("main", "raw/note.txt")
    with pytest.raises(PathNotFound):
        versions.open("main", "raw/")
    with pytest.raises(RefNotFound):
        versions.entries("nope")  # at once, not when the first is taken


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("**", ["a", "a/b"], []),
        ("*", ["a"], ["a/b"]),
        ("a/**", ["a/b", "a/b/c"], ["ab", "a"]),
        ("**/x", ["x", "a/x", "a/b/x"], ["ax", "x/a"]),
        ("a/**/x", ["a/x", "a/b/c/x"], ["a/bx"]),
        ("p?.[ch]", ["p1.c", "pq.h"], ["p.c", "p1.x", "p/.c"]),
        ("[!a-c]", ["d"], ["a", "b", "/"]),
        ("a+(b)", ["a+(b)"], ["aab"]),
        ("a[", ["a["], ["a"]),
        ("d/", ["d/a", "d/b/c"], ["d"]),
    ],
)
def test_globs(glob: str, yes: list[str], no: list[str]) -> None:
    matches = compile_glob(glob)
    assert [matches(path) for path in yes + no] == [True] * len(yes) + [False] * len(no)
    assert all(path.startswith(literal_prefix(glob)) for path in yes)


def test_diffs(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"d/same": b"1", "d/left": b"1", "d/both": b"1", "d/equal": b"1", "gone": b"1"})
    versions.branch("exp", "main")
    commit_on(versions, "main", {"d/left": b"2", "d/both": b"2", "d/equal": b"2"})
    commit_on(versions, "exp", {"d/both": b"3", "d/equal": b"2", "e/new": b"3", "gone": None})
    assert [(c.kind, c.path) for c in versions.diff("main", "exp")] == [
        ("changed", "d/both"), ("changed", "d/left"), ("added", "e/new"), ("removed", "gone"),
    ]  # fmt: skip
    assert [(c.kind, c.path) for c in versions.diff("main", "exp", three_dot=True)] == [
        ("conflict", "d/both"), ("added", "e/new"), ("removed", "gone"),
    ]  # fmt: skip
    assert list(versions.diff("main", "exp", depth=1)) == [
        Change("prefix_changed", "d/"),
        Change("prefix_changed", "e/"),
        Change("removed", "gone", versions.entry("main", "gone"), None),
    ]
    assert [c.path for c in versions.diff("main", "exp", "e/")] == ["e/new"]
    with pytest.raises(VersionsError, match="depth 0"):
        versions.diff("main", "exp", depth=0)


def test_merges(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"a": b"1", "b": b"1"})
    versions.branch("exp", "main")
    assert versions.merge("exp", "main") == versions.commit("main"), "nothing to merge"
    commit_on(versions, "exp", {"a": b"2"})
    forward = versions.merge("exp", "main", message="take a", metadata={"k": "v"})
    assert forward.parents == (versions.resolve("main~1"), versions.resolve("exp"))
    assert (forward.message, forward.metadata) == ("take a", {"k": "v"}) and forward.tree == versions.commit("exp").tree
    commit_on(versions, "main", {"b": b"main"})
    commit_on(versions, "exp", {"b": b"exp", "c": b"c"})
    with pytest.raises(Conflict, match="b"):
        versions.merge("exp", "main")
    with pytest.raises(VersionsError, match="no merge strategy 'ours'"):
        versions.merge("exp", "main", strategy="ours")  # type: ignore[arg-type]
    versions.merge("exp", "main", strategy="dest-wins")
    assert contents(versions, "main") == {"a": b"2", "b": b"main", "c": b"c"}
    versions.tag("v", "main")
    with pytest.raises(RefNotFound, match="there is no branch 'v'"):
        versions.merge("exp", "v")


def test_a_criss_cross_is_merged_over_both_bases(versions: EmbeddedVersions) -> None:
    """Left took x=2 and right went back to x=1: over one base alone the merge would depend on which."""
    commit_on(versions, "main", {"x": b"1", "y": b"1"})
    versions.branch("left", "main")
    versions.branch("right", "main")
    commit_on(versions, "left", {"x": b"2"})
    commit_on(versions, "right", {"y": b"2"})
    left, right = versions.resolve("left"), versions.resolve("right")
    versions.merge(right, "left")
    versions.merge(left, "right")
    assert set(versions.commits.merge_bases(versions.resolve("left"), versions.resolve("right"))) == {left, right}
    commit_on(versions, "right", {"x": b"1"})
    assert [(c.kind, c.path) for c in versions.diff("left", "right", three_dot=True)] == [("changed", "x")]
    versions.merge("right", "left")
    assert contents(versions, "left") == {"x": b"1", "y": b"2"}
    assert versions.merge_base("left", "right") == versions.resolve("right")


def test_bases_that_disagree_make_a_conflict(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"x": b"0"})
    versions.branch("left", "main")
    versions.branch("right", "main")
    commit_on(versions, "left", {"x": b"left"})
    commit_on(versions, "right", {"x": b"right"})
    left, right = versions.resolve("left"), versions.resolve("right")
    versions.merge(right, "left", strategy="dest-wins")
    versions.merge(left, "right", strategy="dest-wins")
    commit_on(versions, "left", {"l": b"1"})
    commit_on(versions, "right", {"r": b"1"})
    bases = [versions.commits.read(id) for id in (left, right)]
    assert merged_base(versions.commits, versions.nodes, bases) not in (bases[0].tree, bases[1].tree)
    with pytest.raises(Conflict) as error:
        versions.merge("right", "left")
    assert error.value.paths == ("x",)
    versions.merge("right", "left", strategy="source-wins")
    assert contents(versions, "left") == {"x": b"right", "l": b"1", "r": b"1"}
    assert verify(versions.store) == []


def test_reverts(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"a": b"1", "b": b"1"})
    bad = commit_on(versions, "main", {"a": b"bad", "new": b"bad", "b": None})
    commit_on(versions, "main", {"later": b"x"})
    undone = versions.revert("main", bad.id, metadata={"why": "bad"})
    assert contents(versions, "main") == {"a": b"1", "b": b"1", "later": b"x"}
    assert undone.metadata == {"why": "bad"} and len(undone.parents) == 1 and undone.message.startswith("Revert ")
    assert versions.revert("main", bad.id) == undone, "nothing is left to undo"
    commit_on(versions, "main", {"a": b"3"})
    with pytest.raises(Conflict, match="a"):
        versions.revert("main", bad.id)
    with pytest.raises(VersionsError, match="root commit"):
        versions.revert("main", ROOT.id)
    versions.revert("main", undone.id + "~1")
    assert "later" not in contents(versions, "main")


def test_logs(versions: EmbeddedVersions) -> None:
    commit_on(versions, "main", {"a/x": b"1"}, "one")
    commit_on(versions, "main", {"b/y": b"1"}, "two")
    versions.branch("exp", "main")
    commit_on(versions, "exp", {"a/x": b"2"}, "three")
    commit_on(versions, "main", {"c": b"1"}, "four")
    versions.merge("exp", "main", message="merge")

    def log(**options: object) -> list[str]:
        return [commit.message for commit in versions.log("main", **options)]  # type: ignore[arg-type]

    assert log(first_parent=True) == ["merge", "four", "two", "one", "Empty repository"]
    assert log()[0] == "merge" and len(log()) == 10 and log(limit=3) == log()[:3] and log(limit=0) == []
    assert log(prefix="a/", first_parent=True) == ["merge", "one"]
    assert log(prefix="a/") == ["three", "one"], (
        "the commits of drafts that made the change, not merges that carried it"
    )
    assert log(prefix="nothing") == []


Step = tuple[str, str, int]
FILES = ["a", "b", "d/a", "d/b"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["write", "remove", "merge", "branch", "revert"]), st.sampled_from(FILES), st.integers(0, 3)
        ),
        max_size=14,
    )
)
def test_any_history_is_what_a_dictionary_says(tmp_path_factory: pytest.TempPathFactory, steps: list[Step]) -> None:
    """Branches as dictionaries beside the store: same files, same digests for same files, never an unsound store."""
    versions = versions_in(tmp_path_factory.mktemp("history"))
    model: dict[str, dict[str, bytes]] = {"main": {}}
    for number, (kind, file, value) in enumerate(steps):
        names = sorted(model)
        branch, other = names[value % len(names)], names[(value + 1) % len(names)]
        if kind == "write":
            data = b"%d %s" % (value, file.encode())
            if model[branch].get(file) != data:
                commit_on(versions, branch, {file: data})
                model[branch][file] = data
        elif kind == "remove" and file in model[branch]:
            commit_on(versions, branch, {file: None})
            del model[branch][file]
        elif kind == "branch":
            versions.branch(f"b{number}", branch)
            model[f"b{number}"] = dict(model[branch])
        elif kind == "merge" and branch != other:
            base = contents(versions, versions.merge_base(branch, other))
            if len(versions.commits.merge_bases(versions.resolve(branch), versions.resolve(other))) > 1:
                continue
            versions.merge(other, branch, strategy="source-wins")
            model[branch] = _merged(base, model[other], model[branch])
        elif kind == "revert" and versions.commit(branch).parents:
            model[branch] = contents(versions, f"{branch}~1")
            versions.revert(branch, branch)
    for branch, expected in model.items():
        assert contents(versions, branch) == expected
    for one, two in itertools.combinations(model, 2):
        assert (versions.digest(one) == versions.digest(two)) == (model[one] == model[two])
        changed = {change.path for change in versions.diff(one, two)}
        assert changed == {p for p in FILES if model[one].get(p) != model[two].get(p)}
    assert verify(versions.store) == []


def _merged(base: dict[str, bytes], source: dict[str, bytes], dest: dict[str, bytes]) -> dict[str, bytes]:
    picked = {p: source.get(p) if source.get(p) != base.get(p) else dest.get(p) for p in FILES}
    return {path: data for path, data in picked.items() if data is not None}
