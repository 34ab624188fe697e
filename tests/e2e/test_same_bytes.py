"""Every shipped kind of step makes the same bytes twice; a file of its own, so that it runs beside the main job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mldlc import catalog
from tests.e2e.conftest import artifact_digests, execute
from tests.projects import Repository


@pytest.mark.slow
def test_the_same_seed_twice_gives_the_same_bytes_of_every_kind(tmp_path: Path) -> None:
    limits = ("trainer.max_epochs=2", "trainer.limit_train_batches=0.2", "scope=open")
    whole = (
        "registry=folder",
        "clean=rules",
        "select=filter",
        "labels=relabel",
        "labels.scores.rows=1000",
        "diagnose=standard",
        "robustness=standard",
    )
    bare = ("~lifecycle.stages.report", "~lifecycle.stages.profile")
    jobs = [
        (
            "adult",
            "-m",
            *limits,
            *whole,
            "xai=permutation",
            "lifecycle=sweep",
            "ensemble=mean",
            "optimizer.lr=0.001,0.002",
        ),
        ("adult", *limits, "sweep=halving", "sweep.sampler=grid", "sweep.finish=false", "optimizer.lr=0.001,0.002"),
        ("shakespeare", "scope=open", "trainer.max_epochs=2", "trainer.limit_train_batches=20", "model.dim=32"),
        (
            "adult",
            *limits,
            *whole[1:3],
            "distill=logits",
            "distill.teacher=registry://adult",
            "~lifecycle.stages.report",
        ),
        ("elec", "trainer.max_epochs=1", "registry=folder", *bare),
        ("elec_batch", "update.model=registry://elec", "update.batch_size=10000", "update.epochs=1", *bare),
    ]
    runs: list[list[object]] = [[], []]
    kinds: set[str] = set()
    for name, found in zip(("one", "two"), runs, strict=True):
        repo = Repository(tmp_path / name)
        repo.root.mkdir()
        for job in jobs:
            run = execute(repo, *job)["run"]
            digests = artifact_digests(repo.root / "outputs", run)
            digests.get("distillation", {}).pop("timing", None)  # times are no two times equal
            found.append(digests)
            plan = json.loads((repo.root / "outputs" / "runs" / run / "plan.json").read_text())
            kinds |= {step["kind"] for step in plan["steps"]}
    assert runs[0] == runs[1]
    assert set(catalog.KINDS) - kinds == {"scope.noop", "versions.publish"}  # a commit's lineage names its run
