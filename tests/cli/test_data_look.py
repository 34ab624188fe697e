"""`mldlc data ls`, `log` and `diff`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.making import Data, refused, versions, write


def test_ls_levels_sizes_globs(data: Data, raw: Path) -> None:
    def lines(*args: str) -> list[list[str]]:
        return [line.split() for line in data("ls", *args).out.splitlines()]

    assert lines() == [["-", "raw/"]]
    assert [line[-1] for line in lines("main:raw")] == ["raw/a.csv", "raw/x/"]
    assert lines("main:raw") == lines("main:raw/") == lines("store://main/raw")
    assert lines("-s") == [["10", "B", "2", "files", "raw/"]]
    assert [line[-1] for line in lines("-r")[:-1]] == ["raw/a.csv", "raw/x/b.csv"]
    assert data("ls", "-r").out.splitlines()[-1] == "2 files, 10 B"
    assert [line[-1] for line in lines("main:raw/a.csv")] == ["raw/a.csv"]
    assert [line[-1] for line in lines("main:raw/**.csv")] == ["raw/a.csv", "raw/x/b.csv"]
    assert [line[-1] for line in lines("main:raw/*.csv")] == ["raw/a.csv"]
    done = data("ls", "main:raw", "--json")
    assert [event["path"] for event in done.events[:2]] == ["raw/a.csv", "raw/x/"]
    assert done.events[-1] == {
        "format": "mldlc.data.ls/1", "repository": "store://", "ref": "main", "commit": versions().resolve("main"),
        "path": "raw", "files": 1, "folders": 1, "bytes": 8,
    }  # fmt: skip


def test_ls_jumps_over_folders_in_any_order_of_names(data: Data, raw: Path) -> None:
    names = ["a", "a-b", "a.txt", "a/1", "a/2/3", "a0", "ab/c", "é/x", "é.t", "z/\U0010ffff"]
    draft = versions().draft("main", run="names")
    for name in names:
        draft.put(name, raw / "a.csv")
    draft.commit("names", {})
    draft.publish("main")
    shown = [line.split()[-1] for line in data("ls").out.splitlines()]
    assert shown == sorted({name.split("/")[0] + "/" * ("/" in name) for name in [*names, "raw/a"]}, key=str.encode)


def test_ls_of_nothing_and_of_what_is_not_there(data: Data, raw: Path) -> None:
    assert data("ls", "main~1").out == "main~1 has no files\n"
    refused(data("ls", "mian"), "did you mean 'main'?")
    refused(data("ls", "main:rwa"), "has no 'rwa'", "did you mean 'raw'?")
    refused(data("ls", "main:raw/y/b.csv"), "has no 'raw/y/b.csv'", "raw/ has a.csv, x/")
    refused(data("ls", "ftp://main/raw"), "no place in versioned data")
    refused(data("ls", "store://main/raw", "--repo", "lakefs://lake"), "is not in --repo lakefs://lake")
    done = data("ls", "mian", "--json")
    assert done.code == 2 and done.events[-1]["format"] == "mldlc.data.ls/1" and done.events[-1]["status"] == "error"
    assert done.events[0]["code"] == "ref_not_found"


def test_a_name_cannot_move_the_cursor(data: Data, raw: Path) -> None:
    draft = versions().draft("main", run="odd")
    draft.put("odd/\x1b[2J.csv", raw / "a.csv")
    draft.commit("red \x1b[31m alert", {})
    draft.publish("main", message="red \x1b[31m alert")
    for args in (["ls", "-r"], ["log"], ["log", "-v"], ["diff", "main"]):
        assert "\x1b" not in data(*args).out
    assert data("ls", "-r", "--json").events[0]["path"] == "odd/\x1b[2J.csv"


def test_log_of_a_branch_and_of_a_path(data: Data, raw: Path) -> None:
    write(raw / "x/b.csv", "d\n")
    data("put", "raw", "--to", "main:raw", "-m", "new b\nwith reasons")
    data("tag", "v1", "main~1")
    lines = data("log").out.splitlines()
    assert [line.split("  ")[2] for line in lines[:2]] == ["new b", "first rows"]
    assert lines[0].endswith("(main)") and lines[1].endswith("(v1)") and len(lines) == 3
    assert len(data("log", "--all").out.splitlines()) == 5
    assert len(data("log", "-n", "1").out.splitlines()) == 1
    assert len(data("log", "-n", "0").out.splitlines()) == 3
    assert [line.split("  ")[2] for line in data("log", "main:raw/a.csv").out.splitlines()] == ["first rows"]
    assert len(data("log", "--prefix", "raw/x").out.splitlines()) == 2
    assert data("log", "main:nope").out == "no commit of main changed nope\n"
    assert "with reasons" in data("log", "-v").out and "mldlc.run" in data("log", "-v").out
    refused(data("log", "-n", "-1"), "-n must be 0")
    refused(data("log", "main:raw", "--prefix", "raw"), "write one of them")
    done = data("log", "main", "-n", "1", "--json")
    commit = versions().commit("main")
    assert done.events[0]["commit"] == commit.id and done.events[0]["parents"] == list(commit.parents)
    assert done.events[0]["refs"] == ["main"] and done.events[0]["time"] == commit.time
    assert done.events[1] == {
        "format": "mldlc.data.log/1", "repository": "store://", "ref": "main", "commit": commit.id, "prefix": "",
        "commits": 1,
    }  # fmt: skip


def test_diff_in_all_its_forms(data: Data, raw: Path) -> None:
    write(raw / "a.csv", "a\n")
    write(raw / "new.csv", "n")
    data("put", "raw", "--to", "main:raw")
    data("rm", "main:raw/x/b.csv")
    expected = ["~ raw/a.csv", "+ raw/new.csv", "- raw/x/b.csv"]

    def changes(*args: str) -> list[str]:
        return [f"{line[0]} {line.split()[-1]}" for line in data("diff", *args).out.splitlines()[:-1]]

    for args in (["main~2", "main"], ["main~2..main"], ["main~2.."], ["main~2...main"], ["store://main~2", "main"]):
        assert changes(*args) == expected, args
    assert changes("main") == ["- raw/x/b.csv"]
    assert changes("..main~2") == ["~ raw/a.csv", "- raw/new.csv", "+ raw/x/b.csv"]
    assert changes("main~2", "main", "--prefix", "raw/n") == changes("main~2", "main:raw/new.csv") == ["+ raw/new.csv"]
    assert changes("main~2:raw/x", "main:raw/x") == ["- raw/x/b.csv"]
    assert changes("main~2", "main", "--partitions") == ["* raw/"]
    assert changes("main~2", "main:raw", "--partitions") == ["~ raw/a.csv", "+ raw/new.csv", "* raw/x/"]
    assert data("diff", "main", "main").out == "No difference.\n"
    assert data("diff", "main~2", "main").out.splitlines()[-1] == "1 added, 1 changed, 1 removed, -7 B."
    refused(data("diff", "a", "b", "c"), "compares two versions")
    refused(data("diff", "main:raw", "main:row"), "one path in two versions")
    refused(data("diff", "main..mian"), "did you mean 'main'?")
    refused(data("diff", "store://main", "lakefs://lake@main"), "within one repository")
    done = data("diff", "main~2..main", "--json")
    assert done.events[0] == {
        "type": "change", "change": "changed", "path": "raw/a.csv",
        "left": {"digest": versions().entry("main~2", "raw/a.csv").digest, "size": 8},
        "right": {"digest": versions().entry("main", "raw/a.csv").digest, "size": 2},
    }  # fmt: skip
    assert done.events[-1]["counts"] == {"changed": 1, "added": 1, "removed": 1} and done.events[-1]["bytes"] == -7
