"""Every shipped kind of step makes the same bytes twice; a file of its own, so that it runs beside the main job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mldlc import catalog
from tests.e2e.conftest import artifact_digests, execute
from tests.projects import Repository

ROWS = "{table: [labels.table, prepare.table], split: [labels.split, split]}"
DATA = (
    "scope=open", "clean=rules", "select=filter", "registry=folder", "executor.jobs=1",
    "labels=relabel", "labels.scores.rows=1000", "labels.scores.iterations=5",
)  # fmt: skip
# the twin trains in two pieces, as under sweep=halving
PIECES = (
    "+rungs={first: {epochs: 1}, last: {epochs: 2}}",
    f"+lifecycle.stages.rung={{kind: training.rung, config: {{rung: rungs.first}}, inputs: {ROWS}}}",
    "++lifecycle.stages.train={kind: training.rung, config: {rung: rungs.last}, inputs: {state: rung.state}}",
)
TAUGHT = (
    "distill=logits", "teacher=trained", "model@teacher.model=linear", "teacher.trainer.max_epochs=1",
    "trainer.max_epochs=2", "trainer.limit_train_batches=0.2", "model.layers=[32]",
    "~lifecycle.stages.report",  # the page names the digest of times, which are no two times equal
)  # fmt: skip
SWEPT = ("lifecycle=sweep", "ensemble=mean", "optimizer.lr=0.001,0.002")
UPDATED = (
    "update=batch", "update.model=registry://adult", "update.parts=[test]", "update.batch_size=5000", "update.epochs=1",
)  # fmt: skip
STUDIES = (
    "diagnose=standard", "diagnose.part=val", "diagnose.rows=1000", "diagnose.iterations=10",
    "robustness=standard", "robustness.part=val", "robustness.rows=1000", "xai=permutation", "xai.rows=1000",
)  # fmt: skip
TEXT = (
    "scope=open", "prepare.vocabulary=300", "model.layers=1", "model.dim=32", "trainer.max_epochs=1",
    "trainer.limit_train_batches=10", "trainer.limit_val_batches=2", "evaluate.max_tokens=2000",
    "~lifecycle.stages.report", "~lifecycle.stages.profile",
)  # fmt: skip
JOBS = (  # small ones, that share what they can: each is made twice
    ("adult", "-m", *DATA, *TAUGHT, *PIECES, *SWEPT),
    ("adult", *DATA, *UPDATED, *STUDIES),
    ("shakespeare", *TEXT),
)


@pytest.mark.slow
def test_the_same_seed_twice_gives_the_same_bytes_of_every_kind(tmp_path: Path) -> None:
    runs: list[list[object]] = [[], []]
    kinds: set[str] = set()
    for name, found in zip(("one", "two"), runs, strict=True):
        repo = Repository(tmp_path / name)
        repo.root.mkdir()
        for job in JOBS:
            run = execute(repo, *job)["run"]
            digests = artifact_digests(repo.root / "outputs", run)
            timed = [ports.pop("timing") for ports in digests.values() if "timing" in ports]
            assert len(timed) == 2 * (job is JOBS[0])
            found.append(digests)
            plan = json.loads((repo.root / "outputs" / "runs" / run / "plan.json").read_text())
            kinds |= {step["kind"] for step in plan["steps"]}
    assert runs[0] == runs[1]
    assert set(catalog.KINDS) - kinds == {"scope.noop", "versions.publish"}  # a commit's lineage names its run
