"""Streaming through the commands a user types: versioned Parquet in, row groups in training, and what the plan picks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mldlc.compiler.cost import HISTORY
from tests.projects import Repository

EXPERIMENT = """\
# @package _global_
defaults:
  - override /source: parquet
  - override /split: random
  - override /profile: none
  - override /expect: none
  - override /ingest: auto
project: {name: stream}
source: {path: "store://main/raw/*.parquet", roles: {y: label}}
prepare: {storage: parquet}
trainer: {max_epochs: 2}
ingest: {batch_size: 64, block_rows: 500, buffer_rows: 1000}
"""


def train(repo: Repository, verb: str, *overrides: str) -> dict[str, Any]:
    """What the command tells of the train step."""
    done = repo.mldlc(verb, "experiment=stream", *overrides, "--until", "train", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    events = map(json.loads, done.stdout.splitlines())
    return dict([event for event in events if event.get("stage") == "train"][-1])


@pytest.mark.slow
def test_streams_from_the_store_and_plans_by_the_last_run(tmp_path: Path) -> None:
    repo = Repository(tmp_path / "repo")
    repo.write("mldlc.yaml", "name: stream\nconf: conf\n")
    repo.write("conf/experiment/stream.yaml", EXPERIMENT)
    rng = np.random.default_rng(0)
    for number in range(2):
        x = rng.normal(size=(1500, 3))
        frame = pl.DataFrame(x, schema=["a", "b", "c"]).with_columns(y=pl.Series(np.where(x.sum(1) > 0, "yes", "no")))
        frame.write_parquet(tmp_path / f"part{number}.parquet")
    files = [str(tmp_path / f"part{number}.parquet") for number in range(2)]
    assert repo.mldlc("data", "put", *files, "--to", "main:raw").returncode == 0
    assert train(repo, "run", "ingest.hold=disk")["type"] == "step_finished"
    history = repo.root / "outputs" / HISTORY
    known = json.loads(history.read_text())
    assert 0 <= known["train|training.train"]["data_wait"] <= 1 and known["train|training.train"]["workers"] == 1
    (held,) = (json.loads(p.read_text())["steps"]["train"]["summary"]["held"] for p in summaries(repo))
    assert held == "on disk (ingest.hold=disk)"

    known["train|training.train"]["data_wait"] = 0.4  # as if the training had been much faster than its data
    history.write_text(json.dumps(known))
    other = ("ingest.hold=disk", "ingest.batch_size=32")
    wait = "2 threads read ahead: the last run waited 40% of its steps for data"
    assert train(repo, "plan", *other)["note"] == f"ingest: from disk (ingest.hold=disk); {wait}"
    train(repo, "run", *other)
    assert json.loads(history.read_text())["train|training.train"]["workers"] == 2


def summaries(repo: Repository) -> list[Path]:
    """Of all runs."""
    return sorted((repo.root / "outputs" / "runs").glob("2*/summary.json"))
