"""`trainer.activation_checkpointing`: losses and gradients are bit for bit those without; `trainer.compile`: the same model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mldlc.artifacts.handle import Artifact
from mldlc.plan.context import StepError
from mldlc.training import toolchain
from mldlc.training.models.cnn import ImageCNN
from mldlc.training.models.ft_transformer import FTTransformer
from mldlc.training.models.gpt import GPT
from mldlc.training.models.mlp import TabularMLP
from mldlc.training.network import compile_blocks
from mldlc.training.recompute import recompute
from mldlc.training.spec import TRAIN
from tests.step_harness import run_step
from tests.thorough import thoroughly
from tests.training import ranked, tables

NONE = {"checkpoint": None, "early_stopping": None}
NUMBERS, CODES = torch.randn(16, 5, generator=torch.manual_seed(1)), torch.randint(3, (16, 2), dtype=torch.int32)
TOKENS = torch.randint(20, (4, 12))


def mlp() -> nn.Module:
    return TabularMLP(5, [3, 3], 1, layers=[24, 24, 8], dropout=0.3, norm="batch", residual=True)


def transformer() -> nn.Module:
    return FTTransformer(5, [3, 3], 1, blocks=3, dim=16, heads=2)


def gpt() -> nn.Module:
    return GPT(20, context=12, layers=3, heads=2, dim=16, dropout=0.2)


def step(make: Any, again: bool, *batch: Tensor) -> list[Tensor]:
    """Loss, gradients and buffers of two steps with dropout, and what a validation says then."""
    torch.manual_seed(0)
    net = make().train()
    if again:
        recompute(net)
    found = []
    for _ in range(2):
        loss = net(*batch).square().mean()
        loss.backward()
        found += [loss.detach(), *(p.grad.clone() for p in net.parameters())]
    return [*found, *(b.clone() for b in net.buffers()), net.eval()(*batch), torch.rand(1)]


@pytest.mark.parametrize(
    ("make", "batch"), [(mlp, (NUMBERS, CODES)), (transformer, (NUMBERS, CODES)), (gpt, (TOKENS,))]
)
def test_values_are_the_same_bit_for_bit(make: Any, batch: tuple[Tensor, ...]) -> None:
    plain, again = step(make, False, *batch), step(make, True, *batch)
    assert len(plain) == len(again) and all(map(torch.equal, plain, again))


def test_blocks_run_twice_and_weights_keep_their_names() -> None:
    net, runs = gpt(), []
    names = list(net.state_dict())
    net.blocks[0].norm1.register_forward_hook(lambda *_: runs.append(1))
    recompute(net)
    net(TOKENS).sum().backward()
    assert len(runs) == 2 and list(net.state_dict()) == names
    with torch.no_grad():
        net(TOKENS)
    assert len(runs) == 3


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(StepError, match="ImageCNN names no blocks") as error:
        recompute(ImageCNN([1, 4, 4], 2))
    assert error.value.where == "trainer.activation_checkpointing"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return tables.blobs(tmp_path_factory.mktemp("two") / "in", rows=600)


def test_a_training_gives_the_same_bytes(two: dict[str, Artifact], tmp_path: Path) -> None:
    groups: dict[str, Any] = {"model": {"layers": [16, 8], "norm": "batch"}}
    plain, again = (
        run_step(
            TRAIN, tables.config(**groups, trainer={"activation_checkpointing": on}), two, tmp_path / str(on), threads=1
        )
        for on in (False, True)
    )
    assert ranked.equal_bytes(plain, again)


@thoroughly
@pytest.mark.parametrize(
    "strategy", ["ddp", "fsdp2", "deepspeed_zero2", "deepspeed_zero3", "tensor_parallel", "pipeline"]
)
@pytest.mark.parametrize("key", ["activation_checkpointing", "compile"])
def test_under_every_strategy(strategy: str, key: str, tmp_path: Path) -> None:
    if key == "compile" and strategy == "deepspeed_zero3":
        pytest.skip("refused by the config")
    groups: dict[str, Any] = {
        "model": {"kind": "gpt", "context": 8, "layers": 2, "heads": 2, "dim": 16},
        "optimizer": {"kind": "sgd", "lr": 0.02, "decay": "matrices"}, "ingest": {"batch_size": 16},
        "callbacks": NONE,
    }  # fmt: skip
    song, limits = ranked.song(tmp_path / "song"), {"limit_train_batches": 20}
    single = ranked.train("single", song, tmp_path / "single", **groups, trainer=limits)
    run = ranked.train(strategy, song, tmp_path / "ranks", **groups, trainer=limits | {key: True})
    ranked.assert_equal_within(run, single)


def test_compiled_blocks_keep_the_names_of_weights() -> None:
    net = gpt()
    names = list(net.state_dict())
    compile_blocks(net)
    assert list(net.state_dict()) == names


def test_a_compiler_that_is_not_there_is_told_first(two: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    error = toolchain.missing_compiler()
    assert error is not None and "no 'no-such-compiler'" in error.message and error.where == "trainer.compile"
    with pytest.raises(StepError, match=r"needs a C\+\+ compiler"):
        run_step(TRAIN, tables.config(trainer={"compile": True}), two, tmp_path)


def test_a_compiled_training_gives_the_same_model(two: dict[str, Artifact], tmp_path: Path) -> None:
    if toolchain.missing_compiler() is not None:
        pytest.skip("needs a C++ compiler")
    groups: dict[str, Any] = {"model": {"layers": [8], "dropout": 0.0}, "ingest": {"batch_size": 64}, "callbacks": NONE}
    keys = {"max_epochs": 1, "limit_train_batches": 4, "limit_val_batches": 0}
    plain, compiled = (
        run_step(TRAIN, tables.config(**groups, trainer=keys | {"compile": on}), two, tmp_path / str(on), threads=1)
        for on in (False, True)
    )
    ranked.assert_equal_within(plain, compiled)
