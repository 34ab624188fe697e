"""The README cannot lie: its commands run, its printed plan is what the command prints, its YAML composes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.conftest import Job
from tests.projects import Repository

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
ROOT = Path(__file__).resolve().parents[2]
EXECUTING = ("run", "reproduce")  # in processes of their own, as users have it


def consoles() -> list[tuple[str, int, list[str]]]:
    """(command, expected exit code, expected output lines) of every `$ mldlc ...` in the console blocks, in order."""
    out: list[tuple[str, int, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", README, re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                command, _, note = line[2:].partition("  # ")
                found = re.search(r"exit (\d)", note)
                out.append((command, int(found[1]) if found else 0, []))
            else:
                out[-1][2].append(line)
    return out


def times_masked(lines: list[str]) -> list[str]:
    """Predicted times depend on the machine; spaces at the end do not count."""
    return [re.sub(r"(About|At least) [\d.]+ (s|min \d+ s|h \d+ min)\.", "<time>", line).rstrip() for line in lines]


def test_the_first_commands_are_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert f"\n{target}:" in makefile


def test_no_command_is_left_out() -> None:
    verbs = {shlex.split(command)[1] for command, _, _ in consoles()}
    assert {"init", "plan", "run", "explain", "why", "graph", "approve", "ls", "show", "data"} <= verbs


@pytest.mark.slow
def test_every_command_does_what_the_readme_shows(pristine: Repository) -> None:
    rows = "".join(f"{18 + number},{'yes' if number % 3 else 'no'}\n" for number in range(60))
    pristine.write("data/churn.csv", f"age,churned\n{rows}")
    for command, code, expected in consoles():
        verb, *rest = shlex.split(command)[1:]
        done = (pristine.mldlc if verb in EXECUTING else pristine.inside)(verb, *rest)
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        if expected:
            assert times_masked((done.stdout + done.stderr).splitlines()) == times_masked(expected), command


@pytest.mark.slow
def test_the_yaml_composes(adult: Job) -> None:
    (text,) = re.findall(r"```yaml\n(# @package.*?)```", README, re.S)
    adult.repo.write("conf/experiment/mine.yaml", text)
    done = adult.repo.inside("plan", "experiment=mine", "-cd", str(adult.repo.root / "conf"))
    assert done.returncode == 0, done.stderr
    assert len(text.splitlines()) <= 18


@pytest.mark.slow
def test_the_overrides_of_the_table_plan(adult: Job) -> None:
    for group in ("debug=fast_dev_run", "debug=overfit", "debug=limit", "debug=profiler"):
        assert adult.repo.inside("plan", "experiment=adult", group).returncode == 0
    for extra in (["--until", "prepare"], ["--from", "train"], ["--force", "evaluate"]):
        assert adult.repo.inside("plan", "experiment=adult", *extra).returncode == 0
    assert "mldlc" in adult.repo.inside("doctor").stdout
