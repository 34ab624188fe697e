"""What a training cannot do with its trainer or ingest is told by the plan, at the key that asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import Repository

STREAM = "a stream is learnt on one CPU"


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("experiment=adult_distill", "ingest=streaming"), "streaming.yaml:2: a student is given its lessons from memory; use"),
        (("experiment=adult_distill", "distill=features", "trainer=ddp"), "distill=features runs on one device, and not under"),
        (("experiment=elec_online", "trainer=ddp"), f"ddp.yaml:22: {STREAM}, and not under trainer.strategy=ddp; use trainer=cpu"),
        (("experiment=elec_batch", "trainer.accelerator=gpu"), f"command line: {STREAM}; use trainer=cpu"),
    ],
)  # fmt: skip
def test_told_before_anything_runs(overrides: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = Repository(tmp_path).mldlc("plan", *overrides)
    assert done.returncode == 2 and told in done.stderr, done.stderr
    assert done.stderr.count("error:") == 1
