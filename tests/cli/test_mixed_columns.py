"""A CSV column of numbers with a null marker nobody declared: what `mldlc run` says, and what each way out gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.compiler.test_partitions import FILES
from tests.projects import Repository, repository

TOLD = "rows.csv, line 4, column 'a': '?' is no number, as 3 of its 4 values are"


@pytest.fixture
def project(tmp_path: Path) -> Repository:
    made = repository(tmp_path, FILES)
    made.write("data/rows.csv", "a,b\n1,x\n2,y\n?,z\n4,x\n")
    return made


def test_it_stops_warns_or_reads(project: Repository) -> None:
    done = project.mldlc("run", "source.path=data/rows.csv")
    assert done.returncode == 1 and f"rows.csv:4: {TOLD}" in done.stdout and "source.null_values=['?']" in done.stdout
    done = project.mldlc("run", "source.path=data/rows.csv", "source.on_mixed=warn", "--json")
    assert done.returncode == 0 and f"collect   warning: {TOLD}" in done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    (warning,) = [event for event in events if event.get("type") == "log"]
    assert warning["level"] == "warning" and TOLD in warning["text"] and warning["step"] == "collect"
    done = project.mldlc("run", "source.path=data/rows.csv", "source.null_values=['?']")
    assert done.returncode == 0 and "warning" not in done.stdout
    done = project.mldlc("run", "source.path=data/rows.csv", "source.on_mixed=wran")
    assert done.returncode == 2 and "did you mean 'warn'?" in done.stderr
