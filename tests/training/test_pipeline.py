"""Networks cut into stages compute together what the whole does, and train to the same weights; see also test_ranks.py."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mldlc.artifacts.handle import Artifact
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.training.limits import check_cut
from mldlc.training.models.cnn import ImageCNN
from mldlc.training.models.ft_transformer import FTTransformer
from mldlc.training.models.gpt import GPT
from mldlc.training.models.linear import TabularLinear
from mldlc.training.models.mlp import TabularMLP
from mldlc.training.spec import TRAIN
from mldlc.training.stages import Stage
from mldlc.training.strategies import pipeline
from tests.ranked_step import run_ranked
from tests.step_harness import validated
from tests.thorough import thoroughly
from tests.training import ranked, tables

TABLE = (torch.randn(5, 3), torch.randint(4, (5, 2), dtype=torch.int32))
TEXT = (torch.randint(9, (3, 6)),)
NETS: dict[str, tuple[Any, tuple[Tensor, ...], int]] = {
    "mlp": (lambda: TabularMLP(3, [4, 4], 1, [8, 8, 6], residual=True, numeric_embedding="periodic"), TABLE, 3),
    "ft_transformer": (lambda: FTTransformer(3, [4, 4], 2, blocks=2, dim=8, heads=2), TABLE, 2),
    "gpt_rotary": (lambda: GPT(9, 6, layers=3, heads=2, dim=8), TEXT, 3),
    "gpt_learned": (lambda: GPT(9, 6, layers=3, heads=2, dim=8, positions="learned"), TEXT, 3),
}


@pytest.mark.parametrize("name", NETS)
def test_stages_in_a_row_are_the_network(name: str) -> None:
    """To the byte; each weight is in one stage, or, where both ends use it, in two."""
    make, inputs, blocks = NETS[name]
    whole = make().eval()
    with torch.no_grad():
        wanted = whole(*inputs)
        for count in range(1, blocks + 2):
            x: tuple[Tensor, ...] = inputs
            names: list[str] = []
            for number in range(count):
                stage = Stage(copy.deepcopy(whole), number, count, nullcontext)
                assert any(True for _ in stage.net.parameters())
                names += stage.net.state_dict()
                x = (stage(*x),)
            assert torch.equal(x[0], wanted)
            twice = {name for name in names if names.count(name) > 1}
            assert twice == ({"embedding.weight"} if name.startswith("gpt") and count > 1 else set())
            assert set(names) == set(whole.state_dict())


def placed(model: dict[str, Any], devices: int) -> SimpleNamespace:
    keys = {"strategy": "pipeline", "devices": devices, "micro_batches": 8}
    return validated(TRAIN, tables.config(model=model, trainer=keys))


@pytest.mark.parametrize(
    ("model", "devices", "key", "told"),
    [
        ({"kind": "linear"}, 2, "kind", "'linear' is no sequence of blocks"),
        ({"kind": "cnn", "shape": [1, 4, 4]}, 2, "kind", "'cnn' is no sequence of blocks"),
        ({"layers": [16, 8]}, 4, "layers", "cannot cut 2 blocks over 4 devices"),
        ({"kind": "gpt", "layers": 1}, 3, "layers", "cannot cut 1 blocks over 3 devices"),
        ({"norm": "batch"}, 2, "norm", "batch norm would see the micro-batches"),
    ],
)
def test_the_plan_tells_what_cannot_be_cut(model: dict[str, Any], devices: int, key: str, told: str) -> None:
    with pytest.raises(DiagnosticError, match=told) as wrong:
        TRAIN.needs(placed(model, devices))  # type: ignore[operator]
    assert wrong.value.diagnostics[0].key == key and wrong.value.diagnostics[0].hint


def test_what_can_be_cut_passes() -> None:
    for model in ({"layers": [16]}, {"layers": [8, 8], "norm": "layer"}, {"kind": "custom", "target": "my.net:Net"}):
        check_cut(placed(model, 2))


@pytest.mark.parametrize(
    ("net", "told"),
    [
        (TabularLinear(3, [], 1), "TabularLinear is no sequence of blocks"),
        (ImageCNN([1, 4, 4], 1), "ImageCNN is no sequence of blocks"),
        (TabularMLP(3, [], 1, [4]), "TabularMLP has 1 blocks, which 3 devices cannot share"),
        (TabularMLP(3, [], 1, [4, 4], norm="batch"), "batch norm would see micro-batches"),
    ],
)
def test_a_network_of_the_users_is_looked_at_when_it_runs(net: torch.nn.Module, told: str) -> None:
    with pytest.raises(StepError, match=told):
        pipeline.build(SimpleNamespace(devices=3, micro_batches=4, seed=0), net)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def weighted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Rows with weights, some of them 0."""
    weight = (torch.arange(700).remainder(50) / 25).numpy()
    return tables.blobs(tmp_path_factory.mktemp("weighted") / "in", rows=700, weight=weight)


CASES: dict[str, dict[str, Any]] = {
    "weights": {"model": {"layers": [8, 8], "dropout": 0.0}, "trainer": {"micro_batches": 5}},
    "three_stages": {"model": {"layers": [8, 8, 8], "dropout": 0.0}, "trainer": {"devices": 3, "gradient_clip_val": 0.1}},
    "one_stage": {"model": {"layers": [8, 8], "dropout": 0.0}, "trainer": {"devices": 1, "accumulate_grad_batches": 3}},
    # biases of keys have a gradient of rounding errors alone, which Adam would make steps of
    "ft_transformer": {"model": {"kind": "ft_transformer", "blocks": 2, "dim": 16, "heads": 2, "attention_dropout": 0.0, "hidden_dropout": 0.0},
                       "optimizer": {"kind": "sgd", "lr": 0.02}},
    "numeric": {"model": {"layers": [8, 8], "dropout": 0.0, "numeric_embedding": "piecewise", "numeric_bins": 4}},
    "own": {"model": {"kind": "custom", "target": "mynets.nets:Stack"}},
    "few_rows": {"model": {"layers": [8, 8], "dropout": 0.0}, "ingest": {"batch_size": 3, "eval_batch_size": 100}},
    "double": {"model": {"layers": [8, 8], "dropout": 0.0}, "trainer": {"precision": "64-true"}},
    "streaming": {"model": {"layers": [8, 8], "dropout": 0.0}, "ingest": ranked.ingest(2)},
}  # fmt: skip


@thoroughly
@pytest.mark.usefixtures("server", "kit")
@pytest.mark.parametrize("case", CASES)
def test_equals_one_process(case: str, weighted: dict[str, Artifact], tmp_path: Path) -> None:
    groups = CASES[case]
    alone = groups | {"trainer": {k: v for k, v in groups.get("trainer", {}).items() if k != "devices"}}
    single = ranked.train("single", weighted, tmp_path / "single", **alone)
    run = ranked.train("pipeline", weighted, tmp_path / "ranks", **groups)
    ranked.assert_equal_within(run, single)
    assert run.outputs["model"].json("model.json") == single.outputs["model"].json("model.json")


@thoroughly
@pytest.mark.usefixtures("server", "kit")
def test_a_killed_stage_continues_exactly(tmp_path: Path) -> None:
    """A GPT whose ends share the embedding; then three stages go on with what two left."""
    text = ranked.song(tmp_path / "song")
    groups: dict[str, Any] = {
        "model": {"kind": "gpt", "context": 8, "layers": 2, "heads": 2, "dim": 16, "dropout": 0.1},
        "ingest": {"batch_size": 16},
        "trainer": {"limit_train_batches": 12, "checkpoint_every_seconds": 1e-6, "gradient_clip_val": 0.5},
    }
    whole = ranked.ran(ranked.dying("pipeline", text, tmp_path / "whole", [], 1, **groups))
    assert ranked.dying("pipeline", text, tmp_path / "broken", [7], 1, **groups)[0].status == "failed"
    again = ranked.ran(ranked.dying("pipeline", text, tmp_path / "broken", [7], 1, **groups))
    assert again.summary["resumed"] and ranked.equal_bytes(again, whole)
    assert ranked.dying("pipeline", text, tmp_path / "grown", [7], 0, **groups)[0].status == "failed"
    grown = ranked.config("pipeline", **groups | {"trainer": groups["trainer"] | {"devices": 3}})
    outcome, run = run_ranked(TRAIN, grown, text, tmp_path / "grown")
    assert ranked.ran((outcome, run)).summary["resumed"]
