"""`trainer=auto`: what it predicts of memory against what really lives, what it chooses, and where it says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.utilities.seed import isolate_rng

from mldlc.artifacts.handle import Artifact
from mldlc.config.schema import hashed
from mldlc.plan.context import StepError
from mldlc.training import footprint, placing
from mldlc.training.loop_config import LightningTrainer
from mldlc.training.placing import candidates, choose, question
from mldlc.training.spec import STRATEGIES, TRAIN
from tests.bench import auto_memory
from tests.step_harness import run_step, validated
from tests.training import ranked, tables

GPT: dict[str, Any] = {"kind": "gpt", "context": 32, "layers": 3, "heads": 2, "dim": 64}
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": {"layers": [256, 128], "norm": "batch", "dropout": 0.2}},
    "ft_transformer": {"model": {"kind": "ft_transformer", "blocks": 2, "dim": 32, "heads": 4}},
    "gpt": {"model": GPT, "ingest": {"batch_size": 16}},
    "gpt, checkpointed": {"model": GPT, "ingest": {"batch_size": 16}, "trainer": {"activation_checkpointing": True}},
    "gpt, bf16": {"model": GPT | {"layers": 1}, "ingest": {"batch_size": 4}, "trainer": {"precision": "bf16-mixed"}},
    "gpt, bf16-true": {
        "model": GPT | {"layers": 1},
        "ingest": {"batch_size": 4},
        "trainer": {"precision": "bf16-true"},
    },
    "linear": {"model": {"kind": "linear"}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Artifact]]:
    folder = tmp_path_factory.mktemp("data")
    return {"table": tables.blobs(folder / "blobs", rows=400), "text": ranked.song(folder / "song")}


def asked(
    groups: dict[str, Any], inputs: Mapping[str, Artifact], **trainer: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """All groups of the step as a plan has them, and the question about them."""
    keys = groups | {"trainer": {"strategy": "auto", "devices": 2} | groups.get("trainer", {}) | trainer}
    params = {name: v.model_dump(mode="json") for name, v in vars(validated(TRAIN, tables.config(**keys))).items()}
    found = question(params, lambda port, name: inputs[port].json(name))
    assert found is not None
    return params, found


@pytest.mark.parametrize("name", MODELS)
def test_fake_tensors_live_as_real_ones_do(name: str, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same step with memory behind its tensors: bytes kept for the backward pass, and the most that live."""
    groups = MODELS[name]
    _, found = asked(groups, data["text" if groups["model"].get("kind") == "gpt" else "table"])
    fake = footprint.measure(found)
    monkeypatch.setattr(footprint, "FakeTensorMode", isolate_rng)
    real = footprint.measure(found)
    assert real == fake
    width = 2 if name.endswith("bf16-true") else 4
    assert fake["weights"] == width * fake["parameters"] and all(step["activations"] for step in fake["steps"].values())


def test_recomputing_keeps_less(data: Any) -> None:
    kept = {}
    for name in ("gpt", "gpt, checkpointed"):
        found = footprint.measure(asked(MODELS[name], data["text"])[1])
        kept[name] = found["steps"]["8"]["activations"]
    assert kept["gpt, checkpointed"] < kept["gpt"] / 3


@pytest.mark.parametrize("device", [None, 2**34], ids=["cpu", "gpu"])
def test_the_first_that_fits_is_chosen(data: Any, device: int | None) -> None:
    """With less and less memory: the states are cut before the gradients, and those before the weights.

    On CPUs stage 2 saves next to nothing over stage 1, as gloo gathers the weights into a copy of them.
    """
    params, found = asked(
        {"model": GPT | {"dim": 512}, "ingest": {"batch_size": 2, "eval_batch_size": 2}}, data["text"], devices=4
    )
    measured, order = footprint.measure(found) | {"device": device}, []
    for memory in range(400, 10, -2):
        params["trainer"]["memory_gb"] = memory / 1000
        order.append(choose(params, measured).strategy)
    named = [name for name in dict.fromkeys(order) if name]
    stages = ["ddp", "deepspeed_zero1", *(["deepspeed_zero2"] if device else []), "fsdp2"]
    assert named[: len(stages)] == stages
    assert named == [name for name in placing.ORDER if name in named] and order[-1] == ""
    assert order == sorted(order, key=lambda name: named.index(name) if name else 9)


def test_rows_that_a_gpu_holds_are_counted(data: Any) -> None:
    """400 rows of 6 numbers, 2 codes and a label, with their order: 17 KB, at most a twentieth of the device unasked.

    And what cuBLAS takes.
    """
    params, found = asked({}, data["table"])
    measured = footprint.measure(found)
    assert measured["rows"] == 400 * (4 * 9 + 8)

    def need(device: int | None, hold: str) -> int:
        groups = params | {"ingest": params["ingest"] | {"hold": hold}}
        return placing.needed("ddp", groups, measured | {"device": device}).total

    most = 20 * measured["rows"]
    for hold, device, more in (("auto", most, True), ("auto", most - 1, False), ("device", most - 1, True)):
        assert need(device, hold) - need(device, "host") == more * measured["rows"]
    assert need(None, "device") == need(None, "host"), "a CPU has them in any case"
    before = need(most, "host")
    measured["libraries"] = 2 * footprint.workspace(9)
    assert need(most, "host") - before == 2**26


def test_what_a_strategy_cannot_do_is_said(data: Any) -> None:
    params, found = asked({}, data["table"])
    measured = footprint.measure(found)

    def why(**groups: Any) -> dict[str, str]:
        changed = params | {name: params.get(name, {}) | keys for name, keys in groups.items()}
        return {need.strategy: need.why for need in choose(changed, measured).needs if need.why}

    deepspeed = {"deepspeed_zero1", "deepspeed_zero2", "deepspeed_zero3", "deepspeed_offload"}
    usual = why()
    assert set(candidates(2)) == set(STRATEGIES) - {"single", "pipeline"}
    assert usual.keys() == {"deepspeed_offload", "tp_fsdp2"} and "4 devices" in usual["tp_fsdp2"]
    assert set(why(callbacks={"averaging": {"kind": "ema", "decay": 0.9}})) == set(candidates(2)) - {"ddp"}
    assert set(why(rung={"epochs": 1})) == set(candidates(2)) - {"ddp"}
    assert set(why(distill={"kind": "features"})) == set(candidates(2))
    assert set(why(trainer={"precision": "16-mixed"})) == deepspeed | usual.keys()
    clipped = why(trainer={"gradient_clip_val": 1.0, "gradient_clip_algorithm": "value"})
    assert set(clipped) == deepspeed | usual.keys()


def test_the_choice_is_no_part_of_the_model() -> None:
    def trainer(**keys: Any) -> LightningTrainer:
        return LightningTrainer.model_validate({"kind": "lightning", **keys})

    same = {"strategy": "auto", "devices": 4, "memory_gb": 2.5, "activation_checkpointing": True, "compile": True}
    assert hashed(trainer(**same)) == hashed(trainer())
    with pytest.raises(ValueError, match="identity: exact needs a strategy by name"):
        trainer(strategy="auto", identity="exact")


def test_one_device_trains_as_ever(data: Any, tmp_path: Path) -> None:
    """And again after an interruption, although another memory is free by then: the choice was written down."""
    one = {"strategy": "auto", "max_epochs": 1}
    run = run_step(TRAIN, tables.config(trainer=one), data["table"], tmp_path / "auto", threads=1)
    single = run_step(TRAIN, tables.config(trainer=one | {"strategy": "single"}), data["table"], tmp_path / "single")
    assert ranked.equal_bytes(run, single)
    assert run.summary["strategy"] == "single" and run.summary["predicted_memory"] > 0
    written = json.loads((tmp_path / "auto" / "scratch" / "placement.json").read_text())
    assert written["strategy"] == "single"


def test_what_fits_nowhere_is_told_before_the_first_step(data: Any, tmp_path: Path) -> None:
    keys = tables.config(trainer={"strategy": "auto", "memory_gb": 1e-5})
    with pytest.raises(StepError, match=r"no strategy fits these devices;(.|\n)*single .* does not fit"):
        run_step(TRAIN, keys, data["table"], tmp_path)
    assert not list((tmp_path / "scratch").iterdir())


def test_a_model_that_needs_data_is_told(data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "kit"))
    for target, why in (("Own", "steps and an optimizer of its own"), ("Looks", "DataDependentOutputException")):
        _, found = asked({"model": {"kind": "custom", "target": f"mynets.nets:{target}"}}, data["table"])
        answer = footprint.answer(found)
        assert why in answer["failed"] and answer["where"] == "trainer.strategy", answer


def test_predicted_memory_is_what_the_allocator_gives(tmp_path: Path) -> None:
    """A process of its own trains a network of 26 MB; tests/bench/auto_memory.py does so with larger ones."""
    told = auto_memory.predicted(auto_memory.SMALL, tmp_path).total
    assert told == pytest.approx(auto_memory.ask(auto_memory.SMALL), rel=0.15)
