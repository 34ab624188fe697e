"""`experiment=elec_online` and `elec_batch` on a short stretch of the stream, through the commands a user types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import execute
from tests.projects import Repository

SHORT = (
    "++split.fractions={train: 0.05, val: 0.02, test: 0.02, later: 0.91}", "trainer.max_epochs=3", "update.parts=[test]",
    "evaluate.parts=[val]", "~lifecycle.stages.profile",
)  # fmt: skip
MONTH = "batch_size=300"


@pytest.mark.slow
def test_a_model_goes_on_along_the_stream_and_is_published(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    beside = (f"periodic.{MONTH}", "periodic.parts=[test]", "update.batch_size=8", "update.snapshot_every=20")
    summary = execute(
        repo, "elec_online", *SHORT, *beside, "registry=folder", "++automation.bounds={stream: {accuracy: {min: 0.5}}}"
    )
    run = repo.root / "outputs" / "runs" / summary["run"]
    steps = json.loads((run / "summary.json").read_text())["steps"]
    assert steps["update"]["summary"]["batches"] == 114 and steps["periodic"]["summary"]["batches"] == 4
    assert set(steps["update"]["summary"]["metrics"]) == {"stream", "frozen"}
    page = (run / "report.html").read_text()
    assert "Updating" in page and "along the stream" in page and "periodic (batch)" in page
    card = repo.root / "outputs" / "published" / "elec" / "current" / "manifest.json"
    assert json.loads(card.read_text())["artifacts"]["model"] == steps["update"]["digests"]["model"]
    # what is deployed goes on
    again = execute(repo, "elec_batch", *SHORT, f"update.{MONTH}", "update.model=registry://elec")
    steps_again = json.loads((repo.root / "outputs" / "runs" / again["run"] / "summary.json").read_text())["steps"]
    assert steps_again["deployed"]["digests"]["model"] == steps["update"]["digests"]["model"]
    assert steps_again["update"]["digests"]["model"] != steps["update"]["digests"]["model"]
