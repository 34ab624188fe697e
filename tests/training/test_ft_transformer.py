"""The FT-Transformer: its tokens against a loop over columns, what it learns, which weights decay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from mldlc.artifacts.model import load_model
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import load_tensors
from mldlc.training.config import Adam
from mldlc.training.models.ft_transformer import Block, FTTransformer, Tokens
from mldlc.training.optimizer import decayed
from mldlc.training.spec import TRAIN
from tests.step_harness import run_step
from tests.training import tables

SMALL: dict[str, Any] = {"kind": "ft_transformer", "blocks": 2, "dim": 16, "heads": 2}


def test_a_token_a_column_as_written_in_the_paper() -> None:
    tokens = Tokens(2, [3, 5], 8)
    numeric, categorical = torch.randn(4, 2), torch.tensor([[0, 4], [2, 0], [1, 1], [2, 3]], dtype=torch.int32)
    made = tokens(numeric, categorical)
    assert made.shape == (4, 5, 8) and tokens.embedding is not None
    for row in range(4):
        wanted = [tokens.weight[0]]
        wanted += [numeric[row, j] * tokens.weight[1 + j] + tokens.bias[j] for j in range(2)]
        codes = [int(categorical[row, 0]), 3 + int(categorical[row, 1])]
        wanted += [tokens.embedding.weight[code] + tokens.bias[2 + k] for k, code in enumerate(codes)]
        torch.testing.assert_close(made[row], torch.stack(wanted))


def test_the_last_block_gives_what_a_full_block_gives_at_the_class_token() -> None:
    full, last = (Block(8, 2, 12, (0.0, 0.0, 0.0), first=False, last=last) for last in (False, True))
    last.load_state_dict(full.state_dict())
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(last(x), full(x)[:, :1])


@pytest.mark.parametrize(("numeric", "cardinalities", "outputs"), [(3, [], 1), (0, [4, 2], 3), (2, [3], 2)])
def test_any_mix_of_columns_fits(numeric: int, cardinalities: list[int], outputs: int) -> None:
    net = FTTransformer(numeric, cardinalities, outputs, blocks=1, dim=8, heads=2)
    raw = net(torch.randn(6, numeric), torch.zeros(6, len(cardinalities), dtype=torch.int32))
    assert raw.shape == ((6,) if outputs == 1 else (6, outputs))


def test_it_learns_and_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    inputs = tables.blobs(tmp_path / "in", rows=1500)
    optimizer = {"lr": 0.003, "decay": "matrices", "warmup_steps": 5}
    config = tables.config(model=SMALL, optimizer=optimizer, trainer={"max_epochs": 3})
    runs = [run_step(TRAIN, config, inputs, tmp_path / name, threads=1) for name in "ab"]
    assert runs[0].digest("model") == runs[1].digest("model")
    data, rows = load_tensors(Table(inputs["table"])), Split(inputs["split"]).rows("test")
    scores = load_model(runs[0].outputs["model"]).predict(data.numeric[rows], data.categorical[rows])
    assert roc_auc_score(data.label[rows], np.asarray(scores)) >= 0.95


def test_biases_norms_and_tokens_do_not_decay() -> None:
    net = FTTransformer(2, [3], 1, blocks=2, dim=8, heads=2)
    matrices, rest = decayed(Adam(kind="adamw", decay="matrices"), net)
    names = {id(p): name for name, p in net.named_parameters()}
    assert {names[id(p)] for p in matrices["params"]} == {
        n
        for n in names.values()
        if n.endswith("weight") and ((n.startswith("body") and "norm" not in n) or n == "head.2.weight")
    }
    assert rest["weight_decay"] == 0.0 and len(matrices["params"]) + len(rest["params"]) == len(names)
    assert decayed(Adam(kind="adamw"), net) == list(net.parameters())
