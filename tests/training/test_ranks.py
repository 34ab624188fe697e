"""Training on ranks over gloo equals training in one process; ranks that are killed or stopped continue exactly.

Ordinary runs look at four strategies; MLDLC_TEST_ALL=1 at all of them, at more deaths, a GPT and bf16.
"""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import load_model
from mldlc.training.spec import STRATEGIES, TRAIN
from tests.ranked_step import run_ranked
from tests.shared_data import shared
from tests.thorough import ALL, thoroughly
from tests.training import ranked, tables
from tests.training.ranked import FED, RESIZED, assert_equal_within, config, dying, history, ran, train
from tests.training.test_spikes import poisoned, told

pytestmark = pytest.mark.usefixtures("server", "kit")
# the first of them starts the fork server: with DeepSpeed imported once for all
SMOKE = ["deepspeed_zero2", "fsdp2", "ddp", "pipeline"]
EVERY = [*SMOKE, *sorted(set(STRATEGIES) - {*SMOKE, "single"})]
ZERO = [name for name in EVERY if name.startswith("deepspeed")]


def each(names: list[str]) -> Any:
    """Parametrizes a test by strategies; those of DeepSpeed are skipped where it is not installed."""
    lacking = importlib.util.find_spec("deepspeed") is None
    skip = pytest.mark.skipif(lacking, reason="needs DeepSpeed: pip install 'mldlc[deepspeed]'")
    marked = [pytest.param(n, marks=[skip] if n.startswith("deepspeed") else []) for n in names]
    return pytest.mark.parametrize("strategy", marked)


@pytest.fixture(scope="module")
def adult(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """1,001 rows, so that the last batch is not even."""
    return tables.adult(shared("adult.data"), tmp_path_factory.mktemp("adult") / "in", rows=1001)


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return ranked.song(tmp_path_factory.mktemp("song"))


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Rows of which many in the middle weigh nothing."""
    weight = np.where((np.arange(600) > 250) & (np.arange(600) < 480), 0, np.arange(600) % 3 / 2)
    return tables.blobs(tmp_path_factory.mktemp("weighted") / "in", rows=600, weight=weight)


@each(EVERY if ALL else SMOKE)
def test_equals_one_process(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Global batch size, accumulation (also of a last odd batch) and clipping mean the same; the model is one file."""
    keys = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5}
    groups: dict[str, Any] = {"model": {"dropout": 0.0}, "trainer": keys, "ingest": {"batch_size": 50}}
    single = train("single", adult, tmp_path / "single", **groups)
    run = train(strategy, adult, tmp_path / "ranks", **groups)
    assert_equal_within(run, single)
    assert sorted(run.outputs["model"].files) == ["model.json", "model.safetensors"]
    assert run.outputs["model"].json("model.json") == single.outputs["model"].json("model.json")
    assert run.summary["steps"] == single.summary["steps"]
    assert [m[0::2] for m in run.metrics] == [m[0::2] for m in single.metrics], "one rank speaks for all"
    assert np.isfinite(load_model(run.outputs["model"]).predict(np.zeros((3, 6)), np.zeros((3, 8), np.int32))).all()


@each(EVERY if ALL else SMOKE)
def test_a_killed_rank_continues_exactly(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """In the middle of an epoch, with dropout; the same bytes as without the death."""
    keys = {"checkpoint_every_seconds": 1e-6}
    whole = ran(dying(strategy, adult, tmp_path / "whole", [], 1, trainer=keys))
    outcome, _ = dying(strategy, adult, tmp_path / "broken", [14], 1, trainer=keys)
    assert outcome.status == "failed" and outcome.error is not None
    assert outcome.error["transient"] and outcome.error["message"].startswith("rank 1 was killed by SIGKILL")
    again = ran(dying(strategy, adult, tmp_path / "broken", [14], 1, trainer=keys))
    assert again.summary["resumed"] and ranked.equal_bytes(again, whole)


@thoroughly
@pytest.mark.parametrize("workers", [None, 0, 2], ids=["in_core", "workers0", "workers2"])
@pytest.mark.parametrize("seconds", [1e-6, 1000.0], ids=["each_step", "each_epoch"])
@pytest.mark.parametrize("rank", [1, None], ids=["one", "all"])
@each(EVERY)
def test_deaths_at_random_steps(
    strategy: str, rank: int | None, seconds: float, workers: int | None, adult: dict[str, Artifact], tmp_path: Path
) -> None:
    """Of one rank and of all at once, with accumulation; checkpoints at every step, or at epochs only."""
    if workers is not None and strategy not in FED:
        pytest.skip("the loader is the same for all: looked at with ddp, deepspeed_zero2 and fsdp2")
    keys = {"max_epochs": 4, "accumulate_grad_batches": 2, "checkpoint_every_seconds": seconds}
    groups = {"trainer": keys, "ingest": ranked.ingest(workers)}
    whole = ran(dying(strategy, adult, tmp_path / "whole", [], rank, **groups))
    steps = sorted(random.Random(f"{strategy} {rank} {seconds} {workers}").sample(range(2, 38), 3))
    for _ in steps:
        assert dying(strategy, adult, tmp_path / "broken", steps, rank, **groups)[0].status == "failed", steps
    again = ran(dying(strategy, adult, tmp_path / "broken", steps, rank, **groups))
    assert ranked.equal_bytes(again, whole), steps


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
    assert again.summary["resumed"] and ranked.equal_bytes(again, whole)


@each(EVERY if ALL else ["ddp"])
def test_a_long_validation_is_cut_short(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """A request to stop within it ends all ranks; what is left to do goes on from before it, as if nothing had been."""
    groups: dict[str, Any] = {
        "model": {"dropout": 0.0, "layers": [16, 8]}, "ingest": {"eval_batch_size": 4},
        "trainer": {"checkpoint_every_seconds": 1000.0, "accumulate_grad_batches": 2},
    }  # fmt: skip
    watch = {"target": "mynets.watch:StopInValidation", "args": {"folder": str(tmp_path), "seconds": 0.5}}
    keys = config(strategy, callbacks={"extra": [watch]}, **groups)
    assert run_ranked(TRAIN, keys, adult, tmp_path / "run")[0].status == "stopped"
    made = len((tmp_path / "batches").read_text().splitlines())
    assert 0 < made < 30, "of 50 batches and more"
    again = ran(run_ranked(TRAIN, keys, adult, tmp_path / "run"))
    assert again.summary["resumed"]
    assert_equal_within(again, train("single", adult, tmp_path / "single", **groups))


@pytest.mark.parametrize("together", [1, 2] if ALL else [2])
@each(EVERY if ALL else ["pipeline"])
def test_batches_that_weigh_nothing(
    strategy: str, together: int, weighted: dict[str, Artifact], tmp_path: Path
) -> None:
    """As in one process, where they move no weight (see test_empty_batches.py)."""
    groups: dict[str, Any] = {
        "model": {"dropout": 0.0, "layers": [16, 8]}, "trainer": {"accumulate_grad_batches": together},
        "ingest": {"shuffle": False, "batch_size": 30},
    }  # fmt: skip
    single = train("single", weighted, tmp_path / "single", **groups)
    run = train(strategy, weighted, tmp_path / "ranks", **groups)
    assert_equal_within(run, single)
    assert run.summary["empty_batches"] == single.summary["empty_batches"] > 0


def resized(strategy: str, adult: dict[str, Artifact], folder: Path, devices: int) -> Any:
    """What becomes of a training that a strategy's usual ranks began, on another number of them."""
    groups: dict[str, Any] = {"model": {"dropout": 0.0, "layers": [16, 8]}}
    keys = {"checkpoint_every_seconds": 1e-6}
    assert dying(strategy, adult, folder, [14], 0, trainer=keys, **groups)[0].status == "failed"
    return run_ranked(TRAIN, config(strategy, trainer=keys | {"devices": devices}, **groups), adult, folder), groups


@each(EVERY if ALL else ["fsdp2"])
def test_on_fewer_ranks(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Fewer ranks go on with what more began where the strategy can; else the message says what can."""
    began = 4 if strategy == "tp_fsdp2" else 2
    (outcome, run), groups = resized(strategy, adult, tmp_path / "run", began // 2)
    if strategy not in RESIZED:
        assert outcome.error is not None and f"ran on {began} ranks" in outcome.error["message"]
        assert outcome.error["where"] == "trainer.devices" and "to start afresh" in outcome.error["hint"]
        assert outcome.error["hint"].startswith(f"set trainer.devices={began}")
        return
    assert ran((outcome, run)).summary["resumed"]
    assert_equal_within(run, train("single", adult, tmp_path / "single", **groups))


@thoroughly
@each(list(RESIZED))
def test_on_more_ranks(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    (outcome, run), groups = resized(strategy, adult, tmp_path / "run", 3)
    assert ran((outcome, run)).summary["resumed"]
    assert_equal_within(run, train("single", adult, tmp_path / "single", **groups))


@thoroughly
@pytest.mark.parametrize("positions", ["rotary", "learned"])
@each(["fsdp2", "tensor_parallel", "tp_fsdp2", "pipeline", "deepspeed_zero3", "deepspeed_offload"])
def test_a_gpt_with_shared_weights(strategy: str, positions: str, song: dict[str, Artifact], tmp_path: Path) -> None:
    """Its embedding is read outside of the layer that owns it, which sharding has to notice; no validation is best."""
    groups: dict[str, Any] = {
        "model": {"kind": "gpt", "context": 8, "layers": 2, "heads": 2, "dim": 16, "positions": positions},
        "optimizer": {"kind": "sgd", "lr": 0.02, "decay": "matrices"}, "trainer": {"limit_train_batches": 20}, "ingest": {"batch_size": 16},
        "callbacks": {"checkpoint": None, "early_stopping": None},
    }  # fmt: skip
    single = train("single", song, tmp_path / "single", **groups)
    assert_equal_within(train(strategy, song, tmp_path / "ranks", **groups), single)


@thoroughly
@each(EVERY)
def test_bf16_means_the_same(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Weights stay in fp32 under every strategy; sums in bf16 are rounded differently, so the tolerance is wider."""
    groups: dict[str, Any] = {"model": {"dropout": 0.0}, "trainer": {"precision": "bf16-mixed"}}
    single = train("single", adult, tmp_path / "single", **groups)
    assert_equal_within(train(strategy, adult, tmp_path / "ranks", **groups), single, loss=1e-2, weight=5e-2)


@thoroughly
@each(["ddp", *ZERO])
def test_a_lightning_module_of_the_users(strategy: str, adult: dict[str, Artifact], tmp_path: Path) -> None:
    """Nothing in it knows of ranks: its batches are parts of the batch, its metrics their means."""
    groups: dict[str, Any] = {"model": {"kind": "custom", "target": "mynets.nets:Own"}}
    run = train(strategy, adult, tmp_path / "ranks", **groups)
    single = train("single", adult, tmp_path / "single", **groups)
    assert run.summary["steps"] == single.summary["steps"]
    assert history(run)[-1]["val_loss"] == pytest.approx(history(single)[-1]["val_loss"], abs=0.05)


@each([name for name in EVERY if name not in ZERO] if ALL else ["fsdp2"])
def test_rollback_after_a_spike(strategy: str, tmp_path: Path) -> None:
    """The same spikes as in one process, the same weights; and a rank that dies after a rollback continues exactly."""
    inputs, _ = poisoned(tmp_path, float("nan"))
    groups: dict[str, Any] = {
        "model": {"dropout": 0.0}, "trainer": {"checkpoint_every_seconds": 1e-6, "accumulate_grad_batches": 2},
    }  # fmt: skip
    watched = {"spikes": {"action": "rollback", "every": 5, "limit": 99}}
    single = train("single", inputs, tmp_path / "single", callbacks=watched, **groups)
    whole = ran(dying(strategy, inputs, tmp_path / "whole", [], 1, callbacks=watched, **groups))
    ours, theirs = ([(s["step"], sorted(s["rows"])) for s in told(run)] for run in (whole, single))
    assert ours == theirs and ours
    assert_equal_within(whole, single)
    death = ours[0][0] + 2  # batches are counted from 0: the second one after the rollback, before the next copy
    outcome, _ = dying(strategy, inputs, tmp_path / "broken", [death], 1, callbacks=watched, **groups)
    assert outcome.status == "failed"
    again = ran(dying(strategy, inputs, tmp_path / "broken", [death], 1, callbacks=watched, **groups))
    assert again.summary["resumed"] and ranked.equal_bytes(again, whole)


@pytest.mark.parametrize(
    ("strategy", "callbacks", "where"),
    [
        ("fsdp2", {"averaging": {"kind": "ema"}}, "callbacks.averaging"),
        ("deepspeed_zero2", {"spikes": {"action": "rollback"}}, "callbacks.spikes.action"),
    ],
)
def test_what_a_strategy_cannot_is_told(
    strategy: str, callbacks: dict[str, Any], where: str, adult: dict[str, Artifact], tmp_path: Path
) -> None:
    outcome, _ = run_ranked(TRAIN, config(strategy, callbacks=callbacks), adult, tmp_path)
    assert outcome.error is not None and outcome.error["where"] == where
