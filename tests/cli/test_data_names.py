"""`mldlc data tag`, `branch`, `merge` and `revert`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.making import Data, paths, refused, versions, write


def test_tags(data: Data, raw: Path) -> None:
    assert data("tag").out == "no tags\n"
    assert data("tag", "v1.0").code == 0 and data("tag", "v1.0").code == 0
    assert versions().tags() == {"v1.0": versions().resolve("main")}
    refused(data("tag", "v1.0", "main~1"), "is there already")
    refused(data("tag", "v 1"), "a tag has letters")
    refused(data("tag", "x", "mian"), "did you mean 'main'?")
    refused(data("tag", "x", "main:raw"), "a whole commit")
    refused(data("tag", "-d"), "-d takes one tag")
    refused(data("tag", "-d", "v1"), "did you mean 'v1.0'?")
    assert "first rows" in data("tag").out
    assert data("tag", "--json").events[0]["name"] == "v1.0"
    assert data("tag", "-d", "v1.0", "--json").events == [{
        "format": "mldlc.data.tag/1", "repository": "store://", "status": "deleted", "name": "v1.0",
        "commit": versions().resolve("main"),
    }]  # fmt: skip


def test_branches(data: Data, raw: Path) -> None:
    assert data("branch", "dev", "main~1").code == 0
    assert versions().branches()["dev"] == versions().resolve("main~1")
    refused(data("branch", "dev"), "is there already")
    refused(data("branch", "a/b"), "a branch has letters")
    assert [line.split()[0] for line in data("branch").out.splitlines()] == ["dev", "main"]
    assert data("branch", "-d", "dev").code == 0
    refused(data("branch", "-d", "dev"), "no branch 'dev'")
    refused(data("branch", "-d", "main"), "cannot be deleted", code=1)


def test_merge_conflict_and_strategy(data: Data, raw: Path) -> None:
    data("branch", "dev")
    data("put", str(write(raw.parent / "d.csv", "dev\n")), "--to", "dev:raw/a.csv")
    assert data("merge", "dev", "--into", "dev").out.endswith("nothing to do.\n")
    data("put", str(write(raw.parent / "m.csv", "main\n")), "--to", "main:raw/a.csv")
    before = versions().resolve("main")
    refused(data("merge", "dev", "--into", "main"), "both sides changed raw/a.csv", "--strategy", code=1)
    assert versions().resolve("main") == before
    done = data("merge", "dev", "--into", "main", "--json")
    assert done.events[0] == {"type": "conflict", "path": "raw/a.csv"} and done.events[-1]["status"] == "failed"
    done = data("merge", "dev", "--into", "main", "--strategy", "source-wins", "-m", "dev wins", "--json")
    assert done.code == 0 and done.events[-1]["commit"] == versions().resolve("main") != before
    assert done.events[-1]["before"] == before and versions().commit("main").message == "dev wins"
    assert data("get", "main:raw/a.csv", "-").out == "dev\n"
    assert "nothing to do" in data("merge", "dev", "--into", "main").out
    refused(data("merge", "dev"), "merge dev into which branch?", "mldlc data merge dev main")
    refused(data("merge", "main"), "mldlc data merge main BRANCH")
    refused(data("merge", "dev", "main", "--into", "dev"), "into main, or --into dev?")
    data("put", str(write(raw.parent / "n.csv", "new\n")), "--to", "dev:n.csv")
    assert data("merge", "dev", "main").out.endswith("Merge dev into main\n") and "n.csv" in paths()
    assert "nothing to do" in data("merge", "dev", "main", "--into", "main").out
    refused(data("merge", "dve", "--into", "main"), "did you mean 'dev'?")
    refused(data("merge", "dev", "--into", "mian"), "did you mean 'main'?")
    refused(data("merge", "dev:raw", "--into", "main"), "a ref, without a path")
    refused(data("merge", "dev", "--into", "main", "--strategy", "ours"), "choose from", "source-wins")


def test_revert(data: Data, raw: Path) -> None:
    data("put", str(write(raw.parent / "z.csv", "z")), "--to", "main")
    assert data("revert", "main", "main").code == 0 and paths() == ["raw/a.csv", "raw/x/b.csv"]
    assert "nothing to do" in data("revert", "main", "main~1").out
    data("put", str(write(raw.parent / "a.csv", "later")), "--to", "main:raw")
    refused(data("revert", "main", "main~3"), "both sides changed raw/a.csv", "revert the later commits", code=1)
    refused(data("revert", "main", "main~4"), "root commit")
    refused(data("revert", "main", "deadbeef"), "no branch, tag or commit 'deadbeef'")
    refused(data("revert", "v1", "main"), "no branch 'v1'")
    refused(data("revert", "main"), "a branch and a commit", "revert main main")
