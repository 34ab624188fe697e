"""The plan says how many partitions of how many changed, by the same keys that the run uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import Repository, repository

FILES = {
    "conf/config.yaml": """\
defaults: [_self_, {paths: default}, {executor: local}, {project: default}, {lifecycle: one}, {source: csv}]
""",
    "conf/lifecycle/one.yaml": "stages:\n  collect: {kind: data.collect}\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Repository:
    made = repository(tmp_path, FILES)
    for number in range(12):
        made.write(f"data/p{number:02d}.csv", f"a,b\n{number},x\n{number + 1},y\n")
    return made


def planned(project: Repository, *overrides: str) -> tuple[str, str]:
    """Action and note of the stage."""
    (step,) = project.plan("source.path=data/*.csv", *overrides).steps
    return step.action, step.note


@pytest.mark.parametrize("typed", [False, True])
def test_the_plan_counts_what_the_run_works_on(project: Repository, typed: bool) -> None:
    columns = "++source.columns={a: {dtype: int64}, b: {dtype: string}}"
    more = (columns,) if typed else ()
    args = ("source.path=data/*.csv", *more)
    assert planned(project, *more) == ("run", ""), "nothing is known: no count"
    done = project.mldlc("run", *args)
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(project, *more) == ("reuse", "")
    project.write("data/p03.csv", "a,b\n9,z\n")
    project.write("data/p77.csv", "a,b\n8,z\n")
    (project.root / "data" / "p05.csv").unlink()
    assert planned(project, *more) == ("run", "2 of 12 partitions changed")
    shown = project.mldlc("plan", *args)
    assert "2 of 12 partitions changed" in shown.stdout
    assert '"note":"2 of 12 partitions changed"' in project.mldlc("plan", "--json", *args).stdout.replace('": "', '":"')
    assert project.mldlc("run", *args).returncode == 0
    records = list((project.root / "outputs" / "store" / "records").rglob("*.json"))
    items = [path for path in records if '"stage":"collect[' in path.read_text()]
    assert len(items) == 12 + 2 + (not typed), "as many as the plan said, and the types of the first file"
    project.write("data/p00.csv", "a,b\n5.5,z\n")
    project.write("data/p01.csv", "a,b\n5,z\n")
    note = "2 of 12 partitions changed" if typed else ""
    assert planned(project, *more) == ("run", note), "other types in the first file: all are read again"
