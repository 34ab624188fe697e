"""The groups of training: every shipped option validates and shows all its keys; schedules against torch's own."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from pydantic import TypeAdapter, ValidationError

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.config.schema import hashed
from mldlc.training import foreign
from mldlc.training.config import Adam, Cosine, StepDown
from mldlc.training.loop_config import LightningTrainer
from mldlc.training.optimizer import build_optimizer, configure
from mldlc.training.spec import COMPONENTS, TRAIN
from mldlc.training.trainer import planned_steps

CONF = Path(__file__).resolve().parents[2] / "conf"
OPTIONS = [(group, path) for group in TRAIN.reads for path in sorted((CONF / group).glob("*.yaml"))]


def keys_of(text: str) -> dict[str, Any]:
    """What an option writes itself, without what it chooses of other groups."""
    return {key: value for key, value in yaml.safe_load(text).items() if key != "defaults"}


def read(group: str, path: Path) -> Any:
    text = path.read_text().replace("${seed}", "0").replace("???", "mynets.nets:Own")
    return TypeAdapter(TRAIN.reads[group]).validate_python(keys_of(text))


@pytest.mark.parametrize(("group", "path"), OPTIONS, ids=[f"{g}={p.stem}" for g, p in OPTIONS])
def test_shipped_options_show_every_key(group: str, path: Path) -> None:
    written = keys_of(path.read_text())
    value = read(group, path)
    assert path.read_text().startswith("# ")
    assert set(written) == set(type(value).model_fields)
    if "kind" in written:
        assert next(iter(written)) == "kind"


def test_every_kind_has_a_module() -> None:
    for group, modules in COMPONENTS.items():
        kinds = {read(group, path).kind for g, path in OPTIONS if g == group}
        assert kinds == set(modules)


def trainer(**keys: Any) -> LightningTrainer:
    return LightningTrainer.model_validate({"kind": "lightning", **keys})


def test_roles_of_trainer_keys() -> None:
    same = [
        {},
        {"accelerator": "gpu"},
        {"threads": 8},
        {"profiler": "simple"},
        {"strategy": "ddp", "devices": 4},
        {"precision": 32},
        {"precision": "32"},
    ]
    assert all(hashed(trainer(**keys)) == hashed(trainer()) for keys in same)
    other = [{"precision": "bf16-mixed"}, {"max_epochs": 3}, {"accumulate_grad_batches": 2}, {"seed": 1}]
    assert all(hashed(trainer(**keys)) != hashed(trainer()) for keys in other)
    exact = hashed(trainer(identity="exact"))
    assert exact != hashed(trainer(identity="exact", threads=8))


@pytest.mark.parametrize(
    "keys",
    [
        {"max_epoch": 3},
        {"strategy": "ddp_spawn"},
        {"devices": 2},
        {"strategy": "ddp", "devices": 0},
        {"strategy": "tp_fsdp2", "devices": 3},
        {"precision": "16-mixed"},
        {"strategy": "deepspeed_zero3", "devices": 2, "compile": True},
        {"strategy": "deepspeed_zero2", "precision": "16-mixed", "accelerator": "auto"},
        {"strategy": "deepspeed_zero2", "gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"},
        {"precision": "8"},
        {"limit_val_batches": 1.5},
        {"seed": -1},
    ],
)
def test_what_the_trainer_refuses(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        trainer(**keys)


def test_memory_is_a_number_of_gb() -> None:
    assert [trainer(memory_gb=value).memory_gb for value in (4, 0.5, None)] == [4, 0.5, None]
    for wrong in ("4GB", "512 MB", "much"):
        with pytest.raises(ValidationError, match="a number of GB without a unit"):
            trainer(memory_gb=wrong)


def test_every_keyword_of_lightning_is_a_key_or_translated() -> None:
    given = set(inspect.signature(Trainer.__init__).parameters) - {"self"}
    assert given - set(LightningTrainer.model_fields) <= set(foreign.TRAINER)


def test_a_time_has_one_form() -> None:
    forms: list[Any] = [
        "00:00:10:00",
        "0:0:10:0",
        "00:00:00:600",
        {"minutes": 10},
        {"seconds": 600},
        {"minutes": 9.5, "seconds": 30},
    ]
    assert {trainer(max_time=form).max_time for form in forms} == {"00:00:10:00"}
    assert trainer(max_time={"weeks": 1, "hours": 5}).max_time == "07:05:00:00"
    assert hashed(trainer(max_time=None)) == hashed(trainer()) != hashed(trainer(max_time="00:00:10:00"))
    for wrong in ("10:00", 600, "ten", {"minuets": 1}, {}):
        with pytest.raises(ValidationError, match="DD:HH:MM:SS"):
            trainer(max_time=wrong)


def test_warmup_fits_the_schedule() -> None:
    with pytest.raises(ValidationError, match="warmup_steps must be 0"):
        Adam.model_validate({"kind": "adamw", "warmup_steps": 5, "scheduler": {"kind": "one_cycle"}})


@pytest.mark.parametrize(
    ("keys", "batches", "steps"),
    [
        ({"max_epochs": 3}, 10, (10, 30)),
        ({"max_epochs": 3, "accumulate_grad_batches": 4}, 10, (3, 9)),
        ({"max_epochs": 3, "limit_train_batches": 0.5}, 10, (5, 15)),
        ({"max_epochs": 3, "limit_train_batches": 4, "max_steps": 9}, 10, (4, 9)),
        ({"max_epochs": -1}, 10, (10, None)),
        ({"max_epochs": -1, "max_steps": 25}, 10, (10, 25)),
        ({"max_epochs": 9, "fast_dev_run": 2}, 10, (2, 2)),
        ({"max_epochs": 9, "overfit_batches": 1}, 10, (1, 9)),
    ],
)
def test_planned_steps(keys: dict[str, Any], batches: int, steps: tuple[int, int | None]) -> None:
    assert planned_steps(trainer(**keys), batches) == steps


@pytest.mark.parametrize("schedule", [Cosine(kind="cosine", final=0.1), StepDown(kind="step", step_size=2, gamma=0.5)])
def test_schedules_agree_with_torch(schedule: Cosine | StepDown) -> None:
    def rates(make: Any) -> list[float]:
        optimizer = build_optimizer(
            Adam(kind="adamw", lr=0.1, scheduler=schedule), [torch.nn.Parameter(torch.ones(1))], True
        )
        scheduler, out = make(optimizer), []
        for _ in range(20):
            out.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return out

    ours = rates(
        lambda o: configure(Adam(kind="adamw", lr=0.1, scheduler=schedule), o, 5, 20)["lr_scheduler"]["scheduler"]
    )
    library = torch.optim.lr_scheduler
    theirs = rates(
        (lambda o: library.CosineAnnealingLR(o, 20, eta_min=0.01)) if schedule.kind == "cosine"
        else (lambda o: library.StepLR(o, 10, gamma=0.5))
    )  # fmt: skip
    assert ours == pytest.approx(theirs)


def test_warmup_rises_to_the_rate() -> None:
    cfg = Adam.model_validate({"kind": "adamw", "lr": 0.1, "warmup_steps": 4, "scheduler": {"kind": "none"}})
    optimizer = build_optimizer(cfg, [torch.nn.Parameter(torch.ones(1))], True)
    scheduler = configure(cfg, optimizer, 5, None)["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(6):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


@pytest.mark.parametrize(
    ("overrides", "free"),
    [
        ((), ()),
        (("trainer.max_time='00:00:10:00'",), ("model", "history")),
        (("trainer.accelerator=gpu",), ("model", "history")),
        (("trainer.accelerator=gpu", "trainer.deterministic=true"), ()),
    ],
)
def test_a_training_that_may_differ_is_marked(
    tmp_path: Path, overrides: tuple[str, ...], free: tuple[str, ...]
) -> None:
    """`reproduce` then compares by tolerance and says why the bytes are others."""
    plan = compile_plan(CompileRequest(tmp_path, ("experiment=adult", *overrides)))
    (train,) = (step for step in plan.steps if step.stage == "train")
    assert train.nondeterministic == free
    timed = any("max_time" in item for item in overrides)
    assert train.note == ("not reproducible: trainer.max_time=00:00:10:00 ends it" if timed else "")
