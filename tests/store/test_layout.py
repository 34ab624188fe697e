"""Opening a store: made once, recognised later, refused with one clear message."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mldlc.plan.diagnostic import DiagnosticError
from mldlc.store.layout import FOLDERS, existing_store, open_store

FORK = multiprocessing.get_context("fork")


def test_it_is_made_once_and_found_again(tmp_path: Path) -> None:
    outputs = tmp_path / "deep" / "outputs"
    assert existing_store(outputs) is None
    assert not outputs.exists(), "a verb that only looks must create nothing"
    store = open_store(outputs)
    assert (store.root / "format.json").read_text() == '{"digest":"blake3-256","format":1}'
    assert {path.name for path in store.root.iterdir()} == {*FOLDERS, "format.json"}
    assert open_store(outputs) == store == existing_store(outputs)


def test_a_lost_folder_comes_back(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.leases.rmdir()
    open_store(tmp_path)
    assert store.leases.is_dir()


def test_a_store_cut_short_by_a_crash_is_completed(tmp_path: Path) -> None:
    (tmp_path / "store" / "objects").mkdir(parents=True)
    (tmp_path / "store" / "format.json.123").write_text("{")
    assert existing_store(tmp_path) is None
    assert open_store(tmp_path) == existing_store(tmp_path)


def test_many_processes_may_make_it_at_once(tmp_path: Path) -> None:
    children = [FORK.Process(target=open_store, args=(tmp_path / "outputs",)) for _ in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0] * 8
    assert existing_store(tmp_path / "outputs") is not None


@pytest.mark.parametrize("in_the_way", ["outputs", "outputs/store", "outputs/store/objects"])
def test_a_file_in_the_way_is_named(tmp_path: Path, in_the_way: str) -> None:
    path = tmp_path / in_the_way
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    with pytest.raises(DiagnosticError) as caught:
        open_store(tmp_path / "outputs")
    (problem,) = caught.value.diagnostics
    assert problem.code == "outputs_in_the_way"
    assert str(path) in problem.message
    assert "paths.outputs" in problem.hint
    assert path.read_text() == "mine"


def test_a_foreign_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "apples").write_text("mine")
    with pytest.raises(DiagnosticError, match="is a folder but not a store: it holds apples"):
        open_store(tmp_path)
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["apples"]


@pytest.mark.parametrize("opening", [open_store, existing_store])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format":2,"digest":"blake3-256"}', "store format 2 .* this release reads format 1"),
        ('{"format":1,"digest":"sha256"}', "store format 1 .sha256.*blake3-256"),
        ("{", "is damaged"),
        ("[]", "is damaged"),
    ],
)
def test_another_format_is_refused(tmp_path: Path, opening, text: str, words: str) -> None:
    (open_store(tmp_path).root / "format.json").write_text(text)
    with pytest.raises(DiagnosticError, match=words) as caught:
        opening(tmp_path)
    assert caught.value.diagnostics[0].code == "store_format"


def _open_as_nobody(outputs: str, answers) -> None:
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        open_store(Path(outputs))
        answers.put("opened")
    except DiagnosticError as error:
        answers.put(f"{error.diagnostics[0].code}: {error}")


@pytest.mark.parametrize("made_before", [False, True])
def test_a_read_only_folder_says_so(made_before: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        outputs = Path(name)
        if made_before:
            open_store(outputs)
        folders = [path for path in outputs.rglob("*") if path.is_dir()] + [outputs]
        for folder in folders:
            folder.chmod(0o555)
        answers = FORK.SimpleQueue()
        child = FORK.Process(target=_open_as_nobody, args=(name, answers))
        child.start()
        child.join()
        answer = answers.get()
        for folder in folders:
            folder.chmod(0o755)
    assert answer.startswith("outputs_read_only: the outputs folder is read-only: cannot write " + name)
    assert "paths.outputs=DIR" in answer


def test_importing_the_store_is_light() -> None:
    code = (
        "import sys, mldlc.store.layout, mldlc.store.records, mldlc.store.leases, mldlc.store.statcache;"
        "heavy = {'blake3', 'numpy', 'polars', 'pydantic', 'torch', 'concurrent.futures', 'logging', 'socket'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"imported: {done.stderr}"
