"""`mldlc data get`: whole files or none, nothing overwritten unasked."""

from __future__ import annotations

import os
from pathlib import Path

from tests.cli.making import Data, refused, versions, write


def test_get_a_file(data: Data, raw: Path) -> None:
    assert data("get", "main:raw/a.csv").code == 0 and Path("a.csv").read_bytes() == (raw / "a.csv").read_bytes()
    assert data("get", "main:raw/a.csv", "b.csv").code == 0 and Path("b.csv").exists()
    assert data("get", "main:raw/a.csv", "deep/er/").code == 0 and Path("deep/er/a.csv").exists()
    assert data("get", "store://main/raw/a.csv", "deep").code == 0 and Path("deep/a.csv").exists()
    assert data("get", "main:raw/a.csv", "-").out == (raw / "a.csv").read_text()
    assert os.access("a.csv", os.W_OK)
    refused(data("get", "main:raw", "-"), "is 2 files")
    refused(data("get", "main:raw/b.csv"), "did you mean 'a.csv'?")


def test_get_folders_and_globs(data: Data, raw: Path) -> None:
    def tree(root: str) -> list[str]:
        return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file())

    assert data("get", "main:raw/x").code == 0 and tree("x") == ["b.csv"]
    done = data("get", "main:raw", "out", "--json")
    assert tree("out") == ["a.csv", "x/b.csv"]
    assert [(event["path"], event["to"], event["written"]) for event in done.events[:-1]] == [
        ("raw/a.csv", "out/a.csv", True), ("raw/x/b.csv", "out/x/b.csv", True),
    ]  # fmt: skip
    assert done.events[-1]["format"] == "mldlc.data.get/1" and done.events[-1]["written"] == 2
    again = data("get", "main:raw", "out", "--json")
    assert again.events[-1]["written"] == 0 and again.events[-1]["files"] == 2
    assert data("get", "main", "whole").code == 0 and tree("whole") == ["raw/a.csv", "raw/x/b.csv"]
    assert data("get", "main:raw/**.csv", "globbed").code == 0 and tree("globbed") == ["a.csv", "x/b.csv"]
    assert data("get", "main:raw/*.csv", "flat").code == 0 and tree("flat") == ["a.csv"]
    assert not list(Path().rglob(".mldlc-get-*"))


def test_get_overwrites_nothing_unasked_and_leaves_nothing_half(data: Data, raw: Path) -> None:
    write(Path("out/a.csv"), "precious")
    refused(data("get", "main:raw", "out"), "out/a.csv", "--force")
    assert not Path("out/x").exists() and Path("out/a.csv").read_text() == "precious"
    assert data("get", "main:raw", "out", "--force").code == 0
    assert Path("out/a.csv").read_bytes() == (raw / "a.csv").read_bytes()
    write(Path("file"), "f")
    refused(data("get", "main:raw", "file/below"), "in", "file")
    Path("dir/a.csv").mkdir(parents=True)
    refused(data("get", "main:raw", "dir", "--force"), "dir/a.csv is a folder")
    Path("link.csv").symlink_to("nowhere")
    refused(data("get", "main:raw/a.csv", "link.csv"), "--force")
    assert data("get", "main:raw/a.csv", "link.csv", "--force").code == 0 and not Path("link.csv").is_symlink()


def test_get_refuses_damaged_bytes_and_leaves_nothing(data: Data, raw: Path) -> None:
    stored = Path(versions().source("main", "raw/x/b.csv").paths[0])
    stored.chmod(0o644)
    stored.write_text("X\n")
    refused(data("get", "main:raw", "out"), "raw/x/b.csv is damaged", code=1)
    assert not Path("out").exists() and not list(Path().glob(".mldlc-get-*"))
    assert data("get", "main:raw/x/b.csv", "-").code == 1
    stored.unlink()
    assert data("get", "main:raw", "out").code == 1 and not Path("out").exists()


def test_get_of_a_path_that_is_file_and_folder(data: Data, raw: Path) -> None:
    draft = versions().draft("main", run="both")
    for name in ("both", "both/below"):
        draft.put(name, raw / "a.csv")
    draft.commit("both", {})
    draft.publish("main")
    refused(data("get", "main", "out"), "out/both is a file and a folder")
    assert data("get", "main:both").code == 0 and Path("both").is_file()
