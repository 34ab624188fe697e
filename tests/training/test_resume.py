"""kill -9 at any step and the same call again give the bytes of a run that was never interrupted."""

from __future__ import annotations

import json
import multiprocessing
import random
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mldlc.plan.context import Cancelled
from mldlc.training.spec import TRAIN
from tests.step_harness import artifact, run_step
from tests.training import tables

KIT = Path(__file__).parent / "kit"
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "cosine": {"optimizer": {"scheduler": {"kind": "cosine"}, "warmup_steps": 7}},
    "plateau": {"optimizer": {"scheduler": {"kind": "plateau", "patience": 0, "monitor": "val_auroc"}}},
    "one_cycle": {"optimizer": {"scheduler": {"kind": "one_cycle"}}, "trainer": {"accumulate_grad_batches": 3}},
    "step_sgd": {"optimizer": {"kind": "sgd", "scheduler": {"kind": "step", "step_size": 1, "gamma": 0.5}}},
    "many_validations": {"trainer": {"val_check_interval": 0.25, "limit_train_batches": 0.8}},
    "batch_norm": {"model": {"norm": "batch", "numeric_embedding": "piecewise", "numeric_bins": 8}},
    "ema": {"callbacks": {"averaging": {"kind": "ema", "decay": 0.9}}, "trainer": {"accumulate_grad_batches": 3}},
    "swa": {"callbacks": {"averaging": {"kind": "swa", "start_epoch": 2}}, "model": {"norm": "batch"}},
    "streaming": {"ingest": {"kind": "streaming", "batch_size": 64, "lanes": 3, "block_rows": 70, "buffer_rows": 300,
                             "hold": "disk", "workers": 0}},
    "read_ahead": {"ingest": {"kind": "streaming", "batch_size": 64, "lanes": 3, "block_rows": 70, "buffer_rows": 300,
                              "hold": "disk", "workers": 2}},
    "own_module": {"model": {"kind": "custom", "target": "mynets.nets:Own"}},
}  # fmt: skip


class Asked:
    """Whether this process was asked to stop, by SIGTERM, as a worker is."""

    def __init__(self, asked: bool) -> None:
        self.asked = asked
        signal.signal(signal.SIGTERM, self.ask)

    def ask(self, *_: object) -> None:
        self.asked = True

    def __bool__(self) -> bool:
        return self.asked


def _child(config: dict[str, Any], inputs: dict[str, str], folder: str, cancel: bool = False) -> None:
    sys.path.insert(0, str(KIT))
    ready = {name: artifact(name.capitalize(), Path(path)) for name, path in inputs.items()}
    try:
        run_step(TRAIN, config, ready, Path(folder), threads=1, stop=Asked(cancel))
    except Cancelled:
        sys.exit(7)


# a server that has imported everything and started no thread: its children begin at once and can be killed
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["mldlc.training.train", "tests.training.test_resume"])


def _run(config: dict[str, Any], inputs: dict[str, str], folder: Path, cancel: bool = False) -> int | None:
    process = FORKS.Process(target=_child, args=(config, inputs, str(folder), cancel))
    process.start()
    process.join(60)
    return process.exitcode


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data")
    tables.blobs(folder / "in", rows=1500)
    return {"table": str(folder / "in" / "table"), "split": str(folder / "in" / "split")}


@pytest.mark.parametrize("seconds", [1e-6, 1000.0], ids=["each_step", "each_epoch"])
@pytest.mark.parametrize("case", CASES)
def test_killed_runs_end_like_whole_ones(case: str, seconds: float, inputs: dict[str, str], tmp_path: Path) -> None:
    """Three deaths at random steps; checkpoints at every step, or at epochs only."""
    draw = random.Random(f"{case} {seconds}")
    groups = {name: dict(keys) for name, keys in CASES[case].items()}
    groups["trainer"] = {"max_epochs": 5, "checkpoint_every_seconds": seconds} | groups.get("trainer", {})

    def config(steps: list[int], folder: Path) -> dict[str, Any]:
        folder.mkdir()
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps}}
        return tables.config(**groups | {"callbacks": groups.get("callbacks", {}) | {"extra": [watch]}})

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert _run(config([], whole), inputs, whole) == 0
    deaths = sorted(draw.sample(range(1, 60), 3))
    again = config(deaths, broken)
    codes = [_run(again, inputs, broken) for _ in range(4)]
    assert codes == [-9, -9, -9, 0], (deaths, codes)
    for name in ("model/model.safetensors", "model/model.json", "history/history.json"):
        assert (whole / "out" / name).read_bytes() == (broken / "out" / name).read_bytes(), (name, deaths)
    assert len(json.loads((whole / "out/history/history.json").read_text())["epochs"]) == 5


def test_a_stopped_run_resumes(inputs: dict[str, str], tmp_path: Path) -> None:
    config = tables.config()
    assert _run(config, inputs, tmp_path / "whole") == 0
    assert _run(config, inputs, tmp_path / "stopped", cancel=True) == 7
    assert (tmp_path / "stopped/scratch/checkpoints/resume.ckpt").exists()
    assert _run(config, inputs, tmp_path / "stopped") == 0
    name = "out/model/model.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()


@pytest.mark.parametrize("case", ["cosine", "one_cycle", "read_ahead"])
def test_sigterm_leaves_a_checkpoint_of_that_step(case: str, inputs: dict[str, str], tmp_path: Path) -> None:
    """No checkpoint is due otherwise: what the next start continues from was written because of the signal."""

    def config(steps: list[int], folder: Path) -> dict[str, Any]:
        folder.mkdir()
        watch = {"target": "mynets.watch:DieOnce", "args": {"folder": str(folder), "steps": steps, "by": "SIGTERM"}}
        groups = {name: dict(keys) for name, keys in CASES[case].items()}
        groups["trainer"] = {"max_epochs": 3, "checkpoint_every_seconds": 1000.0} | groups.get("trainer", {})
        return tables.config(**groups | {"callbacks": {"extra": [watch]}})

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert _run(config([], whole), inputs, whole) == 0
    again = config([5], stopped)
    assert _run(again, inputs, stopped) == 7
    found = torch.load(stopped / "scratch/checkpoints/resume.ckpt", weights_only=False)
    assert found["callbacks"]["Checkpointer"]["loader"]["position"] in range(5, 9)
    assert _run(again, inputs, stopped) == 0
    name = "out/model/model.safetensors"
    assert (whole / name).read_bytes() == (stopped / name).read_bytes()


def test_sigterm_within_a_validation_cuts_it_short(inputs: dict[str, str], tmp_path: Path) -> None:
    """It waits `PATIENCE_SECONDS` for a step to save, no longer; the next start goes on as if nothing had been."""
    groups: dict[str, Any] = {
        "trainer": {"max_epochs": 2, "checkpoint_every_seconds": 1000.0}, "ingest": {"eval_batch_size": 4},
    }  # fmt: skip

    def config(folder: Path) -> dict[str, Any]:
        folder.mkdir()
        watch = {"target": "mynets.watch:StopInValidation", "args": {"folder": str(folder), "seconds": 0.5}}
        return tables.config(**groups | {"callbacks": {"extra": [watch]}})

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    again = config(whole)
    (whole / "batches").touch()  # it has stopped once, so it does not
    assert _run(again, inputs, whole) == 0
    again = config(stopped)
    assert _run(again, inputs, stopped) == 7
    assert 0 < len((stopped / "batches").read_text().splitlines()) < 20, "of more than 30 batches"
    assert _run(again, inputs, stopped) == 0
    name = "out/model/model.safetensors"
    assert (whole / name).read_bytes() == (stopped / name).read_bytes()


def test_a_broken_checkpoint_starts_afresh(inputs: dict[str, str], tmp_path: Path) -> None:
    config = tables.config()
    place = tmp_path / "run/scratch/checkpoints"
    place.mkdir(parents=True)
    (place / "resume.ckpt").write_bytes(b"half of a file")
    assert _run(config, inputs, tmp_path / "run") == 0
    assert _run(config, inputs, tmp_path / "whole") == 0
    name = "out/model/model.safetensors"
    assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
