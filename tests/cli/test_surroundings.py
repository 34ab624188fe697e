"""A terminal, a pipe, a disk, a folder that goes away: the run lives on, and there is one line and no traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects import Repository, repository

COMMAND = f"{sys.executable} -m mldlc"


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    return repository(tmp_path)


def shell(repo: Repository, line: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in the repository, by which a closed terminal is heard: whoever runs the tests may ignore it."""
    env = {**os.environ, "NO_COLOR": "1"}
    return subprocess.run(
        ["bash", "-c", line],
        cwd=repo.root,
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


@pytest.mark.parametrize(
    "line", ["{} run | true", "{} run --json 2>&1 | true", "{} run >&-", "{} run <&- >&- 2>&-", "{} run >/dev/full"]
)
def test_a_run_outlives_its_display(repo: Repository, line: str) -> None:
    done = shell(repo, line.format(COMMAND) + "; exit ${PIPESTATUS[0]}")
    assert done.returncode == 0 and done.stderr == ""
    shown = json.loads(repo.mldlc("show", "--json").stdout.splitlines()[-1])
    assert shown["status"] == "ok" and shown["counts"]["run"] == 3


@pytest.mark.parametrize(("nohup", "status"), [(False, "stopped"), (True, "ok")])
def test_a_closed_terminal_stops_a_run_cleanly(repo: Repository, nohup: bool, status: str) -> None:
    begun = repo.root / "begun"
    text = "import time\nfrom pathlib import Path\n\n\ndef run(ctx, cfg, inputs):\n"
    text += f"    Path({str(begun)!r}).touch()\n    time.sleep(2)\n    (ctx.out('out') / 'o.txt').write_text('o')\n"
    repo.write("src/tallying/other.py", text)
    stage = "+lifecycle.stages.o={kind: 'tallying.steps:OTHER', inputs: {after: a}}"
    stages = f'"{stage}" "+lifecycle.stages.u={{kind: scope.noop, inputs: {{after: o}}}}"'  # u has not begun
    waiting = f"for _ in $(seq 300); do [ -e {begun} ] && break; sleep 0.1; done"
    ignore = "trap '' HUP; " if nohup else ""
    begin = f"({ignore}exec {COMMAND} run {stages} --json > out) & P=$!"
    done = shell(repo, f"{begin}; {waiting}; kill -HUP $P; wait $P")
    assert done.returncode == (0 if nohup else 129), done.stderr
    assert json.loads((repo.root / "out").read_text().splitlines()[-1])["status"] == status


def test_a_failed_run_says_so_to_the_shell_when_nobody_listens(repo: Repository) -> None:
    repo.write("src/tallying/other.py", "def run(ctx, cfg, inputs):\n    raise ValueError('no')\n")
    stage = "+lifecycle.stages.o={kind: 'tallying.steps:OTHER', inputs: {after: a}}"
    done = shell(repo, f'{COMMAND} run "{stage}" 2>&1 | true; exit ${{PIPESTATUS[0]}}')
    assert done.returncode == 1


def test_views_of_a_plan_into_nothing(repo: Repository) -> None:
    assert shell(repo, f"{COMMAND} plan | true; exit ${{PIPESTATUS[0]}}").returncode == 0
    done = shell(repo, f"{COMMAND} plan --json >&-")
    assert done.returncode == 0 and "Traceback" not in done.stderr and "Nothing was executed." in done.stderr
    done = shell(repo, f"{COMMAND} plan >/dev/full")
    assert done.returncode == 1 and done.stderr == "error: No space left on device\n"


@pytest.mark.parametrize("verb", ["plan", "run", "explain x", "doctor", "--cfg job", "ls"])
def test_a_current_folder_that_is_gone(repo: Repository, verb: str) -> None:
    done = shell(repo, f"mkdir gone; cd gone; rmdir ../gone; PYTHONPATH={Path(__file__).parents[2]} {COMMAND} {verb}")
    assert done.returncode == 2
    assert done.stderr == "error: the current folder does not exist any more; cd to one that does\n"


def test_wrong_flags_are_one_line_and_json(repo: Repository) -> None:
    done = repo.mldlc("plan", "--untl", "a", "--json")
    assert done.returncode == 2
    assert done.stderr == "error: command line: unknown flag '--untl'; did you mean '--until'?\n"
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "error"
    assert repo.mldlc("ls", "group").stderr == "error: command line: no 'group' here; did you mean 'groups'?\n"
    assert "--jobs: 'x' is no number of at least 1; see mldlc run --help" in repo.mldlc("run", "-j", "x").stderr
