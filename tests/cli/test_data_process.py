"""`mldlc data` as a process: what stops it, who stops reading, what it imports, what a terminal shows."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.terminal import on_a_terminal
from tests.projects import Repository

LARGE = 200 << 20


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = Repository(tmp_path)
    made.write("mldlc.yaml", "name: mine\n")
    made.write("raw/a.csv", "a\n")
    assert made.mldlc("data", "put", "raw", "--to", "main:raw").returncode == 0
    return made


def start(repo: Repository, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mldlc", "data", *args]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=repo.root, stdout=pipe, stderr=pipe, text=True)


def stopped_while_copying(repo: Repository, number: signal.Signals) -> tuple[int, str]:
    """Stop a put while its large file is on its way into the store; its exit code and what it said."""
    with (repo.root / "raw/large.bin").open("wb") as file:
        file.truncate(LARGE)
    process = start(repo, "put", "raw", "--to", "main:raw")
    stage = repo.root / "outputs/store/drafts"
    while not list(stage.glob("*/stage/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_put_that_is_stopped_changes_nothing_and_leaves_nothing(
    repo: Repository, number: signal.Signals, code: int
) -> None:
    before = repo.mldlc("data", "log", "--json").stdout
    assert stopped_while_copying(repo, number) == (code, "")
    assert repo.mldlc("data", "log", "--json").stdout == before
    assert list((repo.root / "outputs/store/drafts").iterdir()) == []
    done = repo.mldlc("data", "put", "raw", "--to", "main:raw")
    assert done.returncode == 0 and "1 added" in done.stdout
    assert repo.mldlc("data", "verify").returncode == 0


def test_a_put_that_is_killed_leaves_a_draft_that_gc_takes(repo: Repository) -> None:
    assert stopped_while_copying(repo, signal.SIGKILL) == (-9, "")
    drafts = repo.root / "outputs/store/drafts"
    (left,) = drafts.iterdir()
    done = repo.mldlc("data", "put", "raw", "--to", "main:raw")
    assert done.returncode == 0 and "1 added" in done.stdout
    for path in (left, *left.rglob("*")):
        os.utime(path, (1, 1))
    assert "1 drafts" in repo.mldlc("data", "gc").stdout
    assert list(drafts.iterdir()) == [] and repo.mldlc("data", "verify").returncode == 0
    assert repo.mldlc("data", "get", "main:raw", "out").returncode == 0


def test_a_get_that_is_stopped_leaves_no_file(repo: Repository) -> None:
    with (repo.root / "raw/large.bin").open("wb") as file:
        file.truncate(LARGE)
    repo.mldlc("data", "put", "raw", "--to", "main:raw")
    process = start(repo, "get", "main:raw", "out/deep")
    while not list(repo.root.glob(".mldlc-get-*/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "") and process.returncode == 130
    assert not (repo.root / "out").exists() and not list(repo.root.glob(".mldlc-get-*"))


def test_a_reader_that_goes_away_is_fine(repo: Repository) -> None:
    for number in range(300):
        repo.write(f"many/{'x' * 200}{number}.csv", "1")
    repo.mldlc("data", "put", "many", "--to", "main:many")
    for args in (["ls", "main:many"], ["ls", "-r", "--json"], ["diff", "main~1", "main"]):
        process = start(repo, *args)
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 0 and process.stderr.read() == ""
        process.stderr.close()


def test_looking_and_putting_import_nothing_heavy(repo: Repository) -> None:
    heavy = "torch polars numpy hydra omegaconf pydantic lightning whylogs rich lakefs_client urllib3 psutil"
    for args in (["put", "raw/a.csv", "--to", "main:b"], ["log"], ["ls", "-r"], ["diff", "main"], ["get", "main:b"]):
        code = (
            f"import sys\nfrom mldlc.cli.main import main\nassert main(['data', *{args!r}]) == 0\n"
            f"found = set({heavy!r}.split()) & set(sys.modules)\nsys.exit(str(found) if found else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=repo.root, capture_output=True, text=True)
        assert done.returncode == 0, (args, done.stderr)


def test_a_terminal_shows_a_bar_and_colours_and_gets_them_cleared(repo: Repository) -> None:
    with (repo.root / "raw/large.bin").open("wb") as file:
        file.truncate(LARGE // 4)
    text = on_a_terminal(repo.root, "put", "raw", "--to", "main:raw")
    assert "52.4" in text and "\x1b[32m+" in text and "1 added" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is back
