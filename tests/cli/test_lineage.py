"""`mldlc lineage` as a user types it: the tree, JSON, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.projects import TALLY, Repository, repository


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repo = repository(tmp_path_factory.mktemp("lineage"))
    assert repo.mldlc("run", TALLY, "tally.size=4").returncode == 0
    return repo


def test_the_tree_shows_config_code_and_environment(ran: Repository) -> None:
    out = ran.mldlc("lineage", "t").stdout
    assert "made by tallying.steps:TALLY" in out and "tally.size = 4  (command line)" in out
    assert "after <- a.done" in out and "python 3." in out
    assert "tallying.counting" not in out and "tallying.counting" in ran.mldlc("lineage", "t", "--all").stdout


def test_down_is_a_tree_of_what_came_from_it(ran: Repository) -> None:
    lines = ran.mldlc("lineage", "a", "--down").stdout.splitlines()
    assert lines[0].startswith("a.done") and [line.strip().split(".")[0] for line in lines[1:]] == ["b", "c", "c", "t"]
    assert lines[3].endswith("(above)")


def test_json_ends_in_a_summary(ran: Repository) -> None:
    rows = [json.loads(line) for line in ran.mldlc("lineage", "c", "--json").stdout.splitlines()]
    assert {row["stage"] for row in rows if row.get("type") == "artifact"} == {"a", "b", "c"}
    assert rows[-1]["format"] == "mldlc.lineage/1" and rows[-1]["actions"] == 3 and rows[-1]["missing"] == []


def test_mistakes_are_one_clear_line(ran: Repository, tmp_path: Path) -> None:
    done = ran.mldlc("lineage", "tt", "--json")
    assert done.returncode == 2 and "did you mean 't'?" in done.stderr and "Traceback" not in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "error"
    empty = repository(tmp_path)
    assert empty.mldlc("lineage").returncode == 2 and empty.mldlc("lineage", "abcdef12").returncode == 2
