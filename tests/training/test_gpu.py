"""On a CUDA device: what is trained there equals the CPU within a tolerance, by every strategy, and resumes exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from mldlc.artifacts.handle import Artifact
from mldlc.training.spec import DISTILL, STRATEGIES, TRAIN
from tests.ranked_step import run_ranked
from tests.step_harness import StepRun, run_step
from tests.training import ranked, tables
from tests.training.test_distillation import distill, teach
from tests.training.test_resume import _run as in_a_process
from tests.training.test_spikes import poisoned, told

pytestmark = [
    pytest.mark.skipif(not torch.cuda.device_count(), reason="needs a CUDA device"),
    pytest.mark.usefixtures("server", "kit"),
]
NAMES = [name for name in STRATEGIES if name not in ("single", "tensor_parallel", "tp_fsdp2", "pipeline")]
PLACE = {"accelerator": "gpu", "devices": 1}
LOSS, WEIGHT = 1e-4, 2e-3  # absolute: sums of another order over some 40 steps


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return tables.blobs(tmp_path_factory.mktemp("data") / "in", rows=1500)


def config(strategy: str, trainer: dict[str, Any], **groups: dict[str, Any]) -> dict[str, Any]:
    return tables.config(trainer={"strategy": strategy, "deterministic": True} | PLACE | trainer, **groups)


def assert_near(run: StepRun, other: StepRun, loss: float, weight: float) -> None:
    for a, b in zip(ranked.history(run), ranked.history(other), strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], abs=loss)
        assert a["val_loss"] == pytest.approx(b["val_loss"], abs=loss)
    mine, yours = ranked.weights(run), ranked.weights(other)
    assert max(float((mine[name] - yours[name]).abs().max()) for name in mine) <= weight


def of_one_kind(strategy: str, keys: dict[str, Any], inputs: dict[str, Artifact], folder: Path) -> StepRun:
    """One process for `single`, one rank for the others."""
    if strategy == "single":
        return run_step(TRAIN, keys, inputs, folder, threads=1)
    return ranked.ran(run_ranked(TRAIN, keys, inputs, folder))


@pytest.mark.parametrize(
    ("strategy", "precision"),
    [(name, "32-true") for name in ("single", *NAMES)]
    + [(n, "bf16-mixed") for n in ("single", "fsdp2", "deepspeed_zero2")]
    + [("single", "16-mixed")],
)
def test_equals_the_cpu(strategy: str, precision: str, data: dict[str, Artifact], tmp_path: Path) -> None:
    if strategy.startswith("deepspeed"):
        pytest.importorskip("deepspeed")
    groups: dict[str, Any] = {"model": {"dropout": 0.0}}
    keys = {"accumulate_grad_batches": 2, "gradient_clip_val": 0.5, "precision": precision}
    plain = keys | ({"precision": "32-true"} if precision == "16-mixed" else {})  # which CPUs do not have
    single = run_step(TRAIN, tables.config(trainer=plain, **groups), data, tmp_path / "cpu", threads=1)
    run = of_one_kind(strategy, config(strategy, keys, **groups), data, tmp_path / "gpu")
    assert_near(run, single, *((LOSS, WEIGHT) if precision == "32-true" else (2e-2, 1e-1)))
    assert run.summary["gpu_memory"] > 0


@pytest.mark.parametrize("strategy", NAMES)
def test_a_killed_rank_continues_exactly(strategy: str, data: dict[str, Artifact], tmp_path: Path) -> None:
    """With dropout on the device: its random numbers are part of the checkpoint."""
    if strategy.startswith("deepspeed"):
        pytest.importorskip("deepspeed")

    def run(name: str, steps: list[int]) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps}}
        keys = config(strategy, {"checkpoint_every_seconds": 1e-6}, callbacks={"extra": [watch]})
        return run_ranked(TRAIN, keys, data, folder)

    whole = ranked.ran(run("whole", []))
    assert run("broken", [20])[0].status == "failed"
    again = ranked.ran(run("broken", [20]))
    assert again.summary["resumed"] and ranked.equal_bytes(again, whole)


@pytest.mark.parametrize("strategy", ["single", "ddp", "fsdp2", "deepspeed_zero2"])
@pytest.mark.parametrize("key", ["compile", "activation_checkpointing"])
def test_levers_mean_the_same(key: str, strategy: str, tmp_path: Path) -> None:
    """Compiled blocks, and blocks that compute their activations again: the losses of a CPU without either."""
    if strategy.startswith("deepspeed"):
        pytest.importorskip("deepspeed")
    groups: dict[str, Any] = {
        "model": {"kind": "gpt", "context": 8, "layers": 2, "heads": 2, "dim": 16}, "ingest": {"batch_size": 16},
        "optimizer": {"kind": "sgd", "lr": 0.02, "decay": "matrices"}, "callbacks": {"checkpoint": None},
    }  # fmt: skip
    song, limits = ranked.song(tmp_path / "song"), {"limit_train_batches": 20, "max_epochs": 2}
    single = run_step(TRAIN, tables.config(trainer=limits, **groups), song, tmp_path / "cpu", threads=1)
    run = of_one_kind(strategy, config(strategy, limits | {key: True}, **groups), song, tmp_path / "gpu")
    assert_near(run, single, LOSS, WEIGHT)


@pytest.mark.parametrize("kind", ["logits", "features"])
def test_a_student_equals_one_on_the_cpu(kind: str, data: dict[str, Artifact], tmp_path: Path) -> None:
    groups: dict[str, Any] = {"model": {"layers": [8, 8], "dropout": 0.0}}
    teacher = run_step(TRAIN, tables.config(), data, tmp_path / "teacher", threads=1)
    lessons = teach(data, tmp_path / "lessons", {"teacher": teacher.outputs["model"]}, hidden="auto")
    given, how = data | {"lessons": lessons}, {"distill": distill(kind, weight=0.7)}
    runs = [
        run_step(DISTILL, tables.config(trainer=place, **groups) | how, given, tmp_path / name, threads=1)
        for name, place in (("cpu", {}), ("gpu", PLACE | {"deterministic": True}))
    ]
    assert_near(runs[1], runs[0], LOSS, WEIGHT)


def test_the_same_spikes_are_rolled_back(tmp_path: Path) -> None:
    inputs, _ = poisoned(tmp_path, float("nan"))
    groups: dict[str, Any] = {
        "model": {"dropout": 0.0}, "callbacks": {"spikes": {"action": "rollback", "every": 5, "limit": 99}},
    }  # fmt: skip
    cpu = run_step(TRAIN, tables.config(**groups), inputs, tmp_path / "cpu", threads=1)
    gpu = run_step(TRAIN, config("single", {}, **groups), inputs, tmp_path / "gpu", threads=1)
    found = [[(spike["step"], sorted(spike["rows"])) for spike in told(run)] for run in (cpu, gpu)]
    assert found[0] == found[1] and found[0]
    assert_near(gpu, cpu, LOSS, WEIGHT)


@pytest.mark.parametrize(("gigabytes", "chosen"), [(None, "single"), (0.006, "deepspeed_offload")])
def test_auto_chooses_by_the_memory_of_the_device(
    gigabytes: float | None, chosen: str, data: dict[str, Artifact], tmp_path: Path
) -> None:
    """A network of 12 MB, 4 MB of which must lie there: on all of the device, or on 6 MB; and it is trained."""
    if chosen.startswith("deepspeed"):
        pytest.importorskip("deepspeed")
    groups: dict[str, Any] = {"model": {"layers": [512, 512], "dropout": 0.0}}
    keys = config("auto", {"memory_gb": gigabytes, "max_epochs": 1}, **groups)
    run = ranked.ran(run_ranked(TRAIN, keys, data, tmp_path / "run"))
    assert run.summary["strategy"] == chosen and run.summary["gpu_memory"] > 0


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_one_process_continues_exactly(
    signal: str, data: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # else imports start CUDA, which no fork survives
    paths = {name: str(next(iter(item.files.values())).parent) for name, item in data.items()}

    def run(name: str, steps: list[int]) -> int | None:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps, "by": signal}}
        every = 1e-6 if signal == "SIGKILL" else 1000.0
        return in_a_process(
            config("single", {"checkpoint_every_seconds": every}, callbacks={"extra": [watch]}), paths, folder
        )

    assert run("whole", []) == 0
    assert run("broken", [20]) == (-9 if signal == "SIGKILL" else 7)
    assert run("broken", [20]) == 0
    for name in ("out/model/model.safetensors", "out/history/history.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes()


@pytest.mark.parametrize("strategy", ["single", "ddp"])
def test_rows_on_the_device_change_nothing(strategy: str, data: dict[str, Artifact], tmp_path: Path) -> None:
    runs = []
    for hold in ("host", "auto"):
        keys = config(strategy, {}, ingest={"hold": hold})
        runs.append(of_one_kind(strategy, keys, data, tmp_path / hold))
    assert ranked.equal_bytes(*runs)
    assert runs[0].summary["held"] == "in memory" and runs[1].summary["held"].startswith("on the GPU")
