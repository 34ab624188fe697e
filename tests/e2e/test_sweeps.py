"""The shipped sweeps run to the end: all 32 points of Adult, and label fixes as data work beside model work."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from mldlc.store.layout import open_store
from mldlc.store.objects import tree_files
from tests.e2e.conftest import artifact_digests, execute
from tests.projects import Repository
from tests.thorough import thoroughly

QUICK = ("trainer.max_epochs=1", "trainer.limit_train_batches=4", "scope=open")


@thoroughly
def test_all_points_of_the_adult_sweep_run_to_the_end(tmp_path: Path) -> None:
    repo = Repository(tmp_path)
    found = execute(repo, "adult_sweep", *QUICK)
    assert len(found["points"]) == 32 and all(not point["end"] for point in found["points"])
    plan = json.loads((tmp_path / "outputs" / "runs" / found["run"] / "plan.json").read_text())
    counts = Counter(step["stage"] for step in plan["steps"])
    assert {stage for stage, count in counts.items() if count == 32} == {"train", "evaluate", "report"}
    assert all(count == 1 for stage, count in counts.items() if stage not in ("train", "evaluate", "report"))
    assert found["best"] in {point["label"] for point in found["points"]} and Path(found["report"]).is_file()
    assert execute(repo, "adult_sweep", *QUICK)["counts"]["run"] == 0


@thoroughly
def test_label_fixes_are_compared_with_work_on_the_model(tmp_path: Path) -> None:
    vary = "++sweep.vary={labels: [drop, relabel], optimizer.lr: [0.004]}"
    found = execute(Repository(tmp_path), "adult", *QUICK, "lifecycle=sweep", "sweep=grid", vary)
    outputs = tmp_path / "outputs"
    digests = artifact_digests(outputs, found["run"])
    comparison = json.loads(
        tree_files(open_store(outputs), digests["compare"]["comparison"])["comparison.json"].read_bytes()
    )
    assert {row["name"]: row["points"] for row in comparison["work"]["rows"]} == {"data": 2, "model": 1}
    plan = json.loads((outputs / "runs" / found["run"] / "plan.json").read_text())
    counts = Counter(step["stage"] for step in plan["steps"])
    assert (counts["out_of_fold"], counts["labels"], counts["prepare"], counts["train"]) == (1, 2, 1, 4)
    pages = [path.read_text("utf-8") for path in (outputs / "runs" / found["run"]).glob("report*.html")]
    assert sum("Data work and model work" in page for page in pages) == 1
    for done in ("they are left out of the training.", "they are given a likelier label."):
        assert sum(done in page for page in pages) == 1, "the page of one point tells it"
