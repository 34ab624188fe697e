"""What asking about code of the user's leaves behind: nothing outside the outputs."""

from __future__ import annotations

from pathlib import Path

from tests.projects import TALLY, repository


def test_nothing_is_written_beside_the_users_code(tmp_path: Path) -> None:
    repo = repository(tmp_path / "repo")
    before = {path for path in repo.root.rglob("*") if "outputs" not in path.parts}
    for verb in ("plan", "run"):
        done = repo.mldlc(verb, TALLY, env={"PYTHONDONTWRITEBYTECODE": ""})
        assert done.returncode == 0, done.stderr
    assert {path for path in repo.root.rglob("*") if "outputs" not in path.parts} == before
