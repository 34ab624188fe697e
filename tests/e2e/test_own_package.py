"""A user's own little package: source, models, callback and step of one's own; and what happens when they go wrong."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.projects import Repository

FILES = {
    "mldlc.yaml": "name: churn\nconf: conf\ncode: [src]\n",
    "conf/experiment/churn.yaml": """\
# @package _global_
defaults:
  - override /source: python
  - override /split: random
  - override /profile: none
  - override /model: custom
  - override /prepare: onehot
project: {name: churn}
source: {target: "churn.data:read", args: {rows: 600}, version: "1", roles: {left: label}}
model: {target: "churn.nets:Own"}
trainer: {max_epochs: 20}
ingest: {batch_size: 32}
""",
    "conf/count/default.yaml": "column: plan\n",
    "src/churn/__init__.py": "",
    "src/churn/data.py": '''\
"""Data of one's own."""
import numpy as np
import polars as pl


def read(rows):
    rng = np.random.default_rng(3)
    months = rng.integers(1, 60, rows)
    plan = rng.choice(["free", "basic", "pro"], rows)
    left = (months + 20 * (plan == "pro") + rng.normal(0, 5, rows)) < 25
    return pl.DataFrame({"months": months, "plan": plan, "left": np.where(left, "yes", "no")})
''',
    "src/churn/nets.py": '''\
"""Models of one's own."""
import lightning
import torch
from torch import nn


class Own(lightning.LightningModule):
    """An ordinary LightningModule: nothing of mldlc in it."""

    def __init__(self, in_features, hidden=8):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(in_features, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, x):
        return self.body(x).squeeze(-1)

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.binary_cross_entropy_with_logits(self(x), y.float())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", nn.functional.binary_cross_entropy_with_logits(self(x), y.float()))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


class Plain(nn.Module):
    """A plain module: mldlc gives the objective and the optimizer."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.line = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.line(x)


class Broken(Plain):
    def forward(self, x):
        raise RuntimeError("this net is broken on purpose")


class Deadly(Plain):
    def forward(self, x):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)


class Shout(lightning.Callback):
    def __init__(self, path):
        self.path = path

    def on_train_end(self, trainer, pl_module):
        open(self.path, "a").write("trained\\n")
''',
    "src/churn/steps.py": '''\
"""A step of one's own."""
import time

from mldlc.config.schema import Config, result
from mldlc.plan.artifact import Report, Table
from mldlc.plan.spec import StepSpec, port


class CountConfig(Config):
    column: str = result()


COUNT = StepSpec(
    kind="count", version=1, impl="churn.steps:run", packages=("polars",),
    inputs={"table": port(Table)}, outputs={"report": Report}, reads={"count": CountConfig},
)
FILL = StepSpec(kind="fill", version=1, impl="churn.steps:fill", inputs={"table": port(Table)}, outputs={"report": Report})


def run(ctx, cfg, inputs):
    counts = inputs["table"].load()[cfg.count.column].value_counts(sort=True)
    counts.write_csv(ctx.out("report") / "counts.csv")
    ctx.summary({"values": counts.height})


def fill(ctx, cfg, inputs):
    with open(ctx.out("report") / "big", "wb") as file:
        for _ in range(200):
            file.write(bytes(1 << 20))
''',
}
COUNT = "+lifecycle.stages.count={kind: 'churn.steps:COUNT', inputs: {table: collect}}"
GROUP = "+count=default"
COLLECT = ("--until", "collect")  # a run that trains nothing starts no torch


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("churn"))
    for name, text in FILES.items():
        made.write(name, text)
    return made


def run(repo: Repository, *overrides: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return repo.mldlc("run", "experiment=churn", *overrides, "--json", env=env)


def inside(repo: Repository, *overrides: str) -> subprocess.CompletedProcess[str]:
    return repo.inside("run", "experiment=churn", *overrides, "--json")


def summary(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.slow
def test_a_lightning_module_a_source_and_a_step_of_ones_own(repo: Repository) -> None:
    done = run(repo, COUNT, GROUP)
    assert done.returncode == 0, done.stderr[-3000:]
    test = summary(done)["metrics"]["test"]  # type: ignore[index]
    assert test["auroc"] > 0.8
    again = inside(repo, COUNT, GROUP)
    assert summary(again)["counts"]["run"] == 0  # type: ignore[index]


@pytest.mark.slow
def test_a_plain_module_and_a_callback(repo: Repository, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    extra = f"callbacks.extra=[{{target: 'churn.nets:Shout', args: {{path: '{heard}'}}}}]"
    done = run(repo, "model.target=churn.nets:Plain", extra, "--until", "train")
    assert done.returncode == 0, done.stderr[-3000:]
    assert heard.read_text() == "trained\n"


@pytest.mark.slow
def test_a_changed_module_reruns_what_imports_it(repo: Repository) -> None:
    inside(repo, COUNT, GROUP)
    repo.write("src/churn/nets.py", FILES["src/churn/nets.py"].replace("hidden=8", "hidden=9"))
    try:
        events = [
            json.loads(line)
            for line in repo.inside("plan", "experiment=churn", COUNT, GROUP, "--json").stdout.splitlines()
        ]
        steps = {event["stage"]: event for event in events if event.get("type") == "step"}
        assert {name for name, step in steps.items() if step["action"] == "run"} == {"train"}
        assert steps["train"]["reasons"][0] == {"code": "code_changed", "files": ["churn.nets"]}
        assert steps["count"]["action"] == steps["collect"]["action"] == "reuse"
    finally:
        repo.write("src/churn/nets.py", FILES["src/churn/nets.py"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "code", "told"),
    [
        (["model.target=churn.nets:Brokn"], 2, "did you mean 'Broken'?"),
        (["model.target=churn.net:Own"], 2, "did you mean 'churn.nets'?"),
        (["model.target=os:system"], 2, "no module 'os' in the project's code roots"),
        (["model.args={hiden: 3}"], 2, "to add: ++model.args={hiden: 3}"),
        (["++model.args={hiden: 3}"], 2, "takes no argument 'hiden'; did you mean 'hidden'?"),
        (["model.target=churn.nets:Broken"], 1, "this net is broken on purpose"),
        (["source.args={rows: -1}", *COLLECT], 1, "collect"),
        (["++source.roles={left: label, monhts: ignore}", *COLLECT], 1, "did you mean 'months'?"),
        ([COUNT, GROUP, "count.column=pln", "--until", "count"], 1, "pln"),
    ],
)
def test_mistakes_are_one_clear_message(repo: Repository, overrides: list[str], code: int, told: str) -> None:
    done = inside(repo, *overrides) if code == 2 else run(repo, *overrides)
    assert (done.returncode, told in done.stderr) == (code, True), done.stderr[-2000:]
    assert summary(done)["status"] == ("error" if code == 2 else "failed")
    assert "Traceback" not in done.stderr.split("log:")[0] or "File" in done.stderr


@pytest.mark.slow
def test_a_killed_worker_is_told_and_nothing_is_lost(repo: Repository) -> None:
    done = run(repo, "model.target=churn.nets:Deadly")
    assert done.returncode == 1 and "SIGKILL" in done.stderr
    assert repo.inside("data", "verify").returncode == 0
    assert inside(repo).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_disk_is_told_and_the_next_run_continues(repo: Repository, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(small)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr.strip()}")
    try:
        fill = "+lifecycle.stages.fill={kind: 'churn.steps:FILL', inputs: {table: collect}}"
        done = run(repo, fill, "--until", "fill", f"paths.outputs={small}")
        assert done.returncode == 1 and "disk full" in done.stderr and str(small) in done.stderr, done.stderr
        assert repo.inside("data", "verify", "--outputs", str(small)).returncode == 0
        subprocess.run(["mount", "-o", "remount,size=900m", str(small)], check=True)
        done = run(repo, fill, "--until", "fill", f"paths.outputs={small}")
        assert done.returncode == 0 and summary(done)["counts"]["reuse"] == 1, done.stderr  # type: ignore[index]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
