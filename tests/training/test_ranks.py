"""Training on ranks over gloo equals training in one process; ranks that are killed or stopped continue exactly.

Ordinary runs look at three strategies; MLDLC_TEST_ALL=1 at all of them, at more deaths, a GPT and bf16.
"""

from __future__ import annotations

import importlib.util
import multiprocessing.forkserver
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import load_model
from mldlc.artifacts.tokens import write_tokens
from mldlc.engine import ranks
from mldlc.engine.perform import Outcome
from mldlc.training.spec import STRATEGIES, TRAIN
from tests.ranked_step import run_ranked
from tests.shared_data import shared
from tests.step_harness import StepRun, artifact, run_step
from tests.training import tables

ALL = bool(os.environ.get("MLDLC_TEST_ALL"))
thoroughly = pytest.mark.skipif(not ALL, reason="many runs: MLDLC_TEST_ALL=1")
# the first of them starts the fork server: with DeepSpeed imported once for all
SMOKE = ["deepspeed_zero2", "fsdp2", "ddp"]
EVERY = [*SMOKE, *sorted(set(STRATEGIES) - {*SMOKE, "auto"})]
LOSS, WEIGHT = 2e-6, 2e-5  # absolute; losses are about 0.5, weights below 1
SHARDED = ("deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3", "deepspeed_offload")


def each(names: list[str]) -> Any:
    """Parametrizes a test by strategies; those of DeepSpeed are skipped where it is not installed."""
    lacking = importlib.util.find_spec("deepspeed") is None
    skip = pytest.mark.skipif(lacking, reason="needs DeepSpeed: pip install 'mldlc[deepspeed]'")
    marked = [pytest.param(n, marks=[skip] if n.startswith("deepspeed") else []) for n in names]
    return pytest.mark.parametrize("strategy", marked)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """One fork server for all launches of this file: the heavy imports happen once."""
    stop, ranks._stop_server = ranks._stop_server, lambda: None
    multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]
    yield
    ranks._stop_server = stop
    stop()


@pytest.fixture(autouse=True)
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "kit"))


@pytest.fixture(scope="module")
def adult(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """1,001 rows, so that the last batch is not even."""
    return tables.adult(shared("adult.data"), tmp_path_factory.mktemp("adult") / "in", rows=1001)


def config(strategy: str, **groups: dict[str, Any]) -> dict[str, Any]:
    places = {"strategy": strategy, "devices": 4 if strategy == "tp_fsdp2" else 2} if strategy != "auto" else {}
    return tables.config(**groups | {"trainer": {"max_epochs": 2} | places | groups.get("trainer", {})})


def history(run: StepRun) -> list[dict[str, Any]]:
    return run.outputs["history"].json("history.json")["epochs"]


def weights(run: StepRun) -> dict[str, torch.Tensor]:
    return load_file(run.outputs["model"].file("model.safetensors"))


def assert_equal_within(one: StepRun, other: StepRun, loss: float = LOSS, weight: float = WEIGHT) -> None:
    for a, b in zip(history(one), history(other), strict=True):
        assert a == {name: pytest.approx(value, abs=loss) for name, value in b.items()}
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    worst = max(float((ours[name] - theirs[name]).abs().max()) for name in ours)
    assert worst <= weight


def ran(found: tuple[Outcome, StepRun]) -> StepRun:
    outcome, run = found
    assert outcome.status == "ran", outcome.error
    return run


@each(EVERY if ALL else SMOKE)
def test_equals_one_process(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Global batch size, accumulation (also of a last odd batch) and clipping mean the same; the model is one file."""
    keys = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}
    groups: dict[str, Any] = {"model": {"dropout": 0.0}, "trainer": keys, "ingest": {"batch_size": 50}}
    single = run_step(TRAIN, config("auto", **groups), adult, tmp_path / "single", threads=1)
    run = ran(run_ranked(TRAIN, config(strategy, **groups), adult, tmp_path / "ranks"))
    assert_equal_within(run, single)
    assert sorted(run.outputs["model"].files) == ["model.json", "model.safetensors"]
    assert run.outputs["model"].json("model.json") == single.outputs["model"].json("model.json")
    assert run.summary["steps"] == single.summary["steps"]
    assert [m[0::2] for m in run.metrics] == [m[0::2] for m in single.metrics], "one rank speaks for all"
    assert np.isfinite(load_model(run.outputs["model"]).predict(np.zeros((3, 6)), np.zeros((3, 8), np.int32))).all()


Deadly = Callable[..., tuple[Outcome, StepRun]]


@pytest.fixture
def deadly(adult: dict[str, Artifact], tmp_path: Path) -> Deadly:
    """Trains with dropout, each rank with its own random numbers, and dies once before each of some batches."""

    def run(name: str, strategy: str, steps: list[int], rank: int | None, seconds: float, **trainer: Any) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps, "rank": rank}}
        keys = {"checkpoint_every_seconds": seconds} | trainer
        return run_ranked(TRAIN, config(strategy, trainer=keys, callbacks={"extra": [watch]}), adult, folder)

    return run


@each(EVERY if ALL else SMOKE)
def test_a_killed_rank_continues_exactly(strategy: str, deadly: Deadly) -> None:
    """In the middle of an epoch; the same bytes as without the death."""
    whole = ran(deadly("whole", strategy, [], 1, 1e-6))
    outcome, _ = deadly("broken", strategy, [14], 1, 1e-6)
    assert outcome.status == "failed" and outcome.error is not None
    assert outcome.error["transient"] and outcome.error["message"].startswith("rank 1 was killed by SIGKILL")
    again = ran(deadly("broken", strategy, [14], 1, 1e-6))
    assert again.summary["resumed"]
    assert (again.digest("model"), again.digest("history")) == (whole.digest("model"), whole.digest("history"))


@thoroughly
@pytest.mark.parametrize("seconds", [1e-6, 1000.0], ids=["each_step", "each_epoch"])
@pytest.mark.parametrize("rank", [1, None], ids=["one", "all"])
@each(EVERY)
def test_deaths_at_random_steps(strategy: str, rank: int | None, seconds: float, deadly: Deadly) -> None:
    """Of one rank and of all at once, with accumulation; checkpoints at every step, or at epochs only."""
    keys = {"max_epochs": 4, "accumulate_grad_batches": 2}
    whole = ran(deadly("whole", strategy, [], rank, seconds, **keys))
    steps = sorted(random.Random(f"{strategy} {rank} {seconds}").sample(range(2, 38), 3))
    for _ in steps:
        assert deadly("broken", strategy, steps, rank, seconds, **keys)[0].status == "failed", steps
    again = ran(deadly("broken", strategy, steps, rank, seconds, **keys))
    assert (again.digest("model"), again.digest("history")) == (whole.digest("model"), whole.digest("history")), steps


@each(EVERY if ALL else ["ddp"])
def test_a_stopped_run_leaves_a_checkpoint(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """The request to stop, which SIGTERM to the worker is: all ranks agree on a step, write, and end."""
    keys = config(strategy, trainer={"max_epochs": 4, "checkpoint_every_seconds": 1000.0, "log_every_n_steps": 1})
    whole = ran(run_ranked(TRAIN, keys, adult, tmp_path / "whole"))
    seen: list[str] = []
    outcome, _ = run_ranked(
        TRAIN, keys, adult, tmp_path / "run", lambda: "metric" in seen, lambda kind, _: seen.append(kind)
    )
    assert outcome.status == "stopped"
    again = ran(run_ranked(TRAIN, keys, adult, tmp_path / "run"))
    assert again.summary["resumed"]
    assert (again.digest("model"), again.digest("history")) == (whole.digest("model"), whole.digest("history"))


@each(["fsdp2", "ddp", *SHARDED] if ALL else ["fsdp2"])
def test_on_another_number_of_ranks(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """One rank goes on with what two began where the strategy can; else the message says what can."""
    groups = {"model": {"dropout": 0.0}}
    watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(tmp_path), "steps": [14]}}
    keys: dict[str, Any] = {"checkpoint_every_seconds": 1e-6, "strategy": strategy}
    two = config(strategy, trainer=keys | {"devices": 2}, callbacks={"extra": [watch]}, **groups)
    assert run_ranked(TRAIN, two, adult, tmp_path / "run")[0].status == "failed"
    one = config(strategy, trainer=keys | {"devices": 1}, **groups)
    outcome, run = run_ranked(TRAIN, one, adult, tmp_path / "run")
    if strategy in SHARDED:
        assert outcome.error is not None and "ran on 2 ranks" in outcome.error["message"]
        assert outcome.error["hint"].startswith("set trainer.devices=2") and outcome.error["where"] == "trainer.devices"
        return
    assert ran((outcome, run)).summary["resumed"]
    assert_equal_within(run, run_step(TRAIN, config("auto", **groups), adult, tmp_path / "single", threads=1))


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """A text of 10 tokens."""
    tokens, folder = np.random.default_rng(0).integers(10, size=2000), tmp_path_factory.mktemp("song")
    parts = [("train", tokens[:1600], 1600), ("val", tokens[1600:], 400)]
    write_tokens(folder, parts, 10, {"tokenizer": "char", "fitted": "train"})
    return {"table": artifact("Tokens", folder)}


@thoroughly
@each(["fsdp2", "tensor_parallel", "tp_fsdp2", "deepspeed_zero3", "deepspeed_offload"])
def test_a_gpt_with_shared_weights(strategy: str, song: dict[str, Artifact], tmp_path: Path) -> None:
    """Its embedding is read outside of the layer that owns it, which sharding has to notice; no validation is best."""
    groups: dict[str, Any] = {
        "model": {"kind": "gpt", "context": 8, "layers": 2, "heads": 2, "dim": 16},
        "optimizer": {"kind": "sgd", "lr": 0.02, "decay": "matrices"}, "trainer": {"limit_train_batches": 20}, "ingest": {"batch_size": 16},
        "callbacks": {"checkpoint": None, "early_stopping": None},
    }  # fmt: skip
    single = run_step(TRAIN, config("auto", **groups), song, tmp_path / "single", threads=1)
    assert_equal_within(ran(run_ranked(TRAIN, config(strategy, **groups), song, tmp_path / "ranks")), single)


@thoroughly
@each(EVERY)
def test_bf16_means_the_same(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Weights stay in fp32 under every strategy; sums in bf16 are rounded differently, so the tolerance is wider."""
    groups: dict[str, Any] = {"model": {"dropout": 0.0}, "trainer": {"precision": "bf16-mixed"}}
    single = run_step(TRAIN, config("auto", **groups), adult, tmp_path / "single", threads=1)
    run = ran(run_ranked(TRAIN, config(strategy, **groups), adult, tmp_path / "ranks"))
    assert_equal_within(run, single, loss=1e-2, weight=5e-2)


@thoroughly
@each(["ddp", *SHARDED])
def test_a_lightning_module_of_the_users(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Nothing in it knows of ranks: its batches are parts of the batch, its metrics their means."""
    groups: dict[str, Any] = {"model": {"kind": "custom", "target": "mynets.nets:Own"}}
    run = ran(run_ranked(TRAIN, config(strategy, **groups), adult, tmp_path / "ranks"))
    single = run_step(TRAIN, config("auto", **groups), adult, tmp_path / "single", threads=1)
    assert run.summary["steps"] == single.summary["steps"]
    assert history(run)[-1]["val_loss"] == pytest.approx(history(single)[-1]["val_loss"], abs=0.05)


def test_what_cannot_be_averaged_is_told(adult: dict[str, Artifact], tmp_path: Path) -> None:
    keys = config("fsdp2", callbacks={"averaging": {"kind": "ema"}})
    outcome, _ = run_ranked(TRAIN, keys, adult, tmp_path)
    assert outcome.error is not None and outcome.error["where"] == "callbacks.averaging"
