"""The GPT and its training on tokens: what it may see, what it learns, exact resume of windows, clear errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.tokens import write_tokens
from mldlc.plan.context import Cancelled, StepError
from mldlc.training.models.gpt import GPT, rotate
from mldlc.training.spec import TRAIN
from tests.step_harness import StepRun, artifact, run_step
from tests.training import tables

TINY: dict[str, Any] = {"kind": "gpt", "context": 8, "layers": 1, "heads": 2, "dim": 16}
OPTIMIZER: dict[str, Any] = {"lr": 0.01, "decay": "matrices", "scheduler": {"kind": "cosine"}, "warmup_steps": 3}


@pytest.fixture(scope="module")
def song(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """A text of 10 tokens in which each follows from the one before, but for one in ten."""
    rng, text = np.random.default_rng(0), [0]
    for _ in range(3999):
        text.append((3 * text[-1] + 1) % 10 if rng.random() < 0.9 else int(rng.integers(10)))
    tokens = np.array(text)
    folder = tmp_path_factory.mktemp("song")
    parts = [("train", tokens[:3200], 3200), ("val", tokens[3200:3600], 400), ("test", tokens[3600:], 400)]
    write_tokens(folder, parts, 10, {"tokenizer": "char", "fitted": "train"})
    return {"table": artifact("Tokens", folder)}


def train(inputs: dict[str, Artifact], folder: Path, **groups: dict[str, Any]) -> StepRun:
    shipped = {"model": TINY, "optimizer": OPTIMIZER, "trainer": {"max_epochs": 2, "limit_train_batches": 30}}
    shipped |= {"ingest": {"batch_size": 16}}
    merged = {name: shipped.get(name, {}) | groups.get(name, {}) for name in {*shipped, *groups}}
    return run_step(TRAIN, tables.config(**merged), inputs, folder, threads=1)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_no_token_is_seen_before_its_time(positions: str) -> None:
    torch.manual_seed(0)
    net = GPT(10, context=6, layers=2, heads=2, dim=16, positions=positions).eval()
    a = torch.randint(10, (1, 6))
    b = a.clone()
    b[0, 4] = (b[0, 4] + 1) % 10
    first, second = net(a), net(b)
    torch.testing.assert_close(first[0, :4], second[0, :4])
    assert not torch.allclose(first[0, 4], second[0, 4])
    torch.testing.assert_close(net(a[:, :3]), first[:, :3])


def test_rotated_products_depend_on_the_distance_alone() -> None:
    angle = torch.arange(9.0)[:, None] * torch.tensor([1.0, 0.1])
    q, k = torch.randn(2, 1, 1, 1, 4).expand(2, 1, 1, 9, 4)
    q, k = rotate(q, angle.cos(), angle.sin())[0, 0], rotate(k, angle.cos(), angle.sin())[0, 0]
    products = q @ k.T
    for distance in range(8):
        torch.testing.assert_close(products.diagonal(distance), products[0, distance].expand(9 - distance))


def test_input_and_output_share_their_embedding() -> None:
    net = GPT(50, context=8, layers=2, heads=2, dim=16, positions="rotary")
    assert sum(p.numel() for p in net.parameters()) == 50 * 16 + 2 * (12 * 16 * 16 + 2 * 16) + 16


def test_it_learns_the_rule_and_equal_seeds_give_equal_bytes(song: dict[str, Artifact], tmp_path: Path) -> None:
    runs = [train(song, tmp_path / name) for name in "ab"]
    assert runs[0].digest("model") == runs[1].digest("model")
    best = -(0.91 * math.log(0.91) + 0.09 * math.log(0.01))  # what is left to chance
    assert best < runs[0].summary["val_loss"] < best + 0.35 < math.log(10)
    assert runs[0].outputs["model"].json("model.json")["features"]["tokens"]["vocabulary"] == 10


def test_a_run_that_was_stopped_ends_like_a_whole_one(song: dict[str, Artifact], tmp_path: Path) -> None:
    whole = train(song, tmp_path / "whole")
    folder, stops = tmp_path / "parts", 0
    model = TINY | {"dropout": 0.1}
    dropped = train(song, tmp_path / "dropped", model=model)
    while stops < 3:
        shipped = tables.config(
            model=model,
            optimizer=OPTIMIZER,
            trainer={"max_epochs": 2, "limit_train_batches": 30},
            ingest={"batch_size": 16},
        )
        with pytest.raises(Cancelled):
            run_step(TRAIN, shipped, song, folder, threads=1, stop=True)
        stops += 1
    ended = train(song, folder, model=model)
    assert 0 <= ended.summary["data_wait"] <= 1
    assert ended.summary["resumed"] and ended.digest("model") == dropped.digest("model") != whole.digest("model")


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ({"model": {"kind": "mlp"}}, "model 'mlp' reads a table"),
        ({"objective": {"kind": "binary"}}, "objective 'binary' needs a table"),
        ({"model": TINY | {"context": 5000}}, "no window of 5001"),
        ({"model": TINY | {"context": 400}}, "part 'val' has no window"),
    ],
)
def test_what_does_not_fit_tokens_is_told(
    song: dict[str, Artifact], tmp_path: Path, groups: dict[str, Any], text: str
) -> None:
    config = tables.config(**({"model": TINY, "optimizer": OPTIMIZER} | groups))
    with pytest.raises(StepError, match=text):
        run_step(TRAIN, config, song, tmp_path / "a", threads=1)


@pytest.mark.parametrize("groups", [{"model": TINY}, {"objective": {"kind": "language_model"}}])
def test_tables_are_no_text(groups: dict[str, Any], tmp_path: Path) -> None:
    inputs = tables.blobs(tmp_path / "in", rows=100)
    with pytest.raises(StepError, match="is given a table"):
        run_step(TRAIN, tables.config(**groups), inputs, tmp_path / "a", threads=1)
