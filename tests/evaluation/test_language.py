"""The evaluation of language models against sums written out, for windows side by side and overlapping ones."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import write_model
from mldlc.artifacts.tokens import write_tokens
from mldlc.evaluation.language import nats
from mldlc.evaluation.spec import LANGUAGE
from mldlc.plan.context import StepError
from mldlc.training.models.gpt import GPT
from tests.step_harness import StepRun, artifact, run_step

ARGS: dict[str, Any] = {"vocabulary": 7, "context": 6, "layers": 1, "heads": 1, "dim": 8}


def network() -> GPT:
    torch.manual_seed(0)
    net = GPT(**ARGS)
    for weight in net.parameters():
        weight.data += torch.randn_like(weight) * 0.3
    return net.eval()


@pytest.mark.parametrize("count", [2, 5, 7, 8, 13, 14, 40])
@pytest.mark.parametrize("stride", [1, 4, 6])
@torch.no_grad()
def test_every_token_counts_once_with_its_context(count: int, stride: int) -> None:
    net, text = network(), torch.randint(7, (count,))
    total, told = 0.0, 0
    begin = 0
    while told < count - 1:
        if begin and begin + 6 > count - 1:
            begin = count - 7  # the last window ends with the text
        window = text[max(0, begin) : begin + 7]
        losses = F.cross_entropy(net(window[None, :-1])[0], window[1:], reduction="none")
        fresh = max(0, begin) + len(losses) - told
        total += float(losses[len(losses) - fresh :].double().sum())
        told += fresh
        begin += stride
    assert nats(net, text, 6, stride, batch_size=2) == pytest.approx(total / (count - 1), rel=1e-6)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Artifact]:
    rng = np.random.default_rng(0)
    for name in ("model", "tokens"):
        (tmp_path / name).mkdir()
    parts = [("train", rng.integers(0, 7, 90), 180), ("test", rng.integers(0, 7, 30), 75)]
    write_tokens(tmp_path / "tokens", parts, 7, {"tokenizer": "bpe", "fitted": "train"})
    target = f"{GPT.__module__}:GPT"
    card = {"kind": "language_model"}
    write_model(tmp_path / "model", network(), target=target, args=ARGS, objective=card, features={})
    return {"model": artifact("Model", tmp_path / "model"), "tokens": artifact("Tokens", tmp_path / "tokens")}


def evaluate(inputs: dict[str, Artifact], folder: Path, **settings: Any) -> StepRun:
    return run_step(LANGUAGE, {"evaluate": {"kind": "language", **settings}}, inputs, folder)


def test_a_loss_is_told_a_token_and_a_character(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    made = [evaluate(inputs, tmp_path / name) for name in "ab"]
    assert made[0].digest("metrics") == made[1].digest("metrics")
    report = made[0].outputs["metrics"].json("metrics.json")
    text = np.fromfile(inputs["tokens"].file("tokens.bin"), "<u2").astype(np.int64)
    test = report["parts"]["test"]
    loss = nats(network(), torch.from_numpy(text[90:]), 6, 6, 64)
    assert test["nats_per_token"] == pytest.approx(loss) and test["n"] == 30
    assert test["nats_per_character"] == pytest.approx(loss * 30 / 75)
    assert test["bits_per_character"] == pytest.approx(loss * 30 / 75 / math.log(2))
    assert test["perplexity"] == pytest.approx(math.exp(loss))
    share = (np.bincount(text[:90], minlength=7) + 1) / 97
    wanted = float(-np.log(share[text[91:]]).mean()) * 30 / 75
    assert report["baseline"]["parts"]["test"]["nats_per_character"] == pytest.approx(wanted)


def test_parts_and_their_tokens_can_be_limited(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    report = evaluate(inputs, tmp_path, parts=["train"], max_tokens=20).outputs["metrics"].json("metrics.json")
    assert {name: part["n"] for name, part in report["parts"].items()} == {"train": 20}
    with pytest.raises(StepError, match="no part 'tset'"):
        evaluate(inputs, tmp_path / "a", parts=["tset"])
