"""Gradients of categories: what each value adds, the sum to the change of output, and models that look up otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mldlc.artifacts.model import LoadedModel, takes_columns
from mldlc.evaluation.gradients import Attributions, attributions
from mldlc.evaluation.spec import XAI
from mldlc.training.models.ft_transformer import FTTransformer
from mldlc.training.models.mlp import TabularMLP
from tests.evaluation.study import option, world
from tests.step_harness import run_step

SIZES = (3, 5)


def rows(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    codes = np.column_stack([rng.integers(0, size, count) for size in SIZES]).astype(np.int32)
    return rng.normal(size=(count, 2)).astype(np.float32), codes


def told(module: nn.Module, kind: str = "regression", method: str = "integrated", steps: int = 200) -> Attributions:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    model = LoadedModel(module.eval(), {"objective": {"kind": kind}}, takes_columns(module))
    return attributions(model, *rows(), (np.zeros(2), np.array([1, 2])), SIZES, method, steps)


class Apart(nn.Module):
    """A table a column, the second one read as three numbers of one row."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.head = nn.Embedding(3, 4), nn.Embedding(5, 3), nn.Linear(9, 1)

    def forward(self, numeric: torch.Tensor, categorical: torch.Tensor) -> torch.Tensor:
        codes = categorical.long()
        return self.head(torch.tanh(torch.cat([numeric, self.one(codes[:, 0]), self.two(codes[:, 1])], 1)))


class OneTensor(Apart):
    """All columns in one tensor of numbers."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(x[:, :2], x[:, 2:])


class Crossed(Apart):
    """The second column alone has a row; the first is looked up with it, and one-hot beside."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.head = nn.Embedding(15, 4), nn.Linear(12, 1)

    def forward(self, numeric: torch.Tensor, categorical: torch.Tensor) -> torch.Tensor:
        codes = categorical.long()
        hot = nn.functional.one_hot(codes[:, 0], 3).float()
        both = self.both(codes[:, 0] * 5 + codes[:, 1])
        return self.head(torch.tanh(torch.cat([numeric, hot, both, self.two(codes[:, 1])], 1)))


class OneHot(Apart):
    """The first column is no lookup."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 1)

    def forward(self, numeric: torch.Tensor, categorical: torch.Tensor) -> torch.Tensor:
        codes = categorical.long()
        hot = nn.functional.one_hot(codes[:, 0], 3).float()
        return self.head(torch.tanh(torch.cat([numeric, hot, self.two(codes[:, 1])], 1)))


MODELS = {
    "mlp": lambda: TabularMLP(2, SIZES, 1, layers=(16,), activation="tanh"),
    "ft_transformer": lambda: FTTransformer(2, SIZES, 1, blocks=1, dim=8, heads=2),
    "apart": Apart,
    "one tensor": OneTensor,
}


@pytest.mark.parametrize("name", MODELS)
def test_attributions_of_all_inputs_sum_to_the_change_of_output(name: str) -> None:
    found = told(MODELS[name]())
    assert found.untold == () and (np.abs(found.categorical).mean(0) > 0.01).all()
    sums = np.abs(found.numeric.sum(1) + found.categorical.sum(1)).mean()
    assert found.gap is not None and found.gap < 0.02 * sums
    _, codes = rows()
    assert (found.categorical[codes[:, 0] == 1, 0] == 0).all(), "the value of the base row adds nothing"


def test_of_several_outputs_the_predicted_one_is_explained() -> None:
    found = told(TabularMLP(2, SIZES, 4, layers=(16,), activation="tanh"), kind="multiclass")
    assert found.gap is not None and found.gap < 0.02 * np.abs(found.categorical).sum(1).mean()


def test_gradient_times_input_is_the_first_order() -> None:
    found = told(Apart(), method="gradient_x_input", steps=1)
    assert found.gap is None and (np.abs(found.categorical).mean(0) > 0.01).all()


@pytest.mark.parametrize(("module", "untold"), [(Crossed, (0, 1)), (OneHot, (0,))])
def test_a_category_without_an_embedding_of_its_own_is_left_as_it_is(module: type[nn.Module], untold: tuple) -> None:
    found = told(module())
    assert found.untold == untold and (found.categorical[:, untold] == 0).all()
    assert found.gap is not None and found.gap < 0.05, "what is told still sums up"
    assert (np.abs(found.categorical[:, 1]).mean() > 0.01) == (1 not in untold)


def test_what_each_value_adds_to_a_linear_model(tmp_path) -> None:
    made = world(tmp_path, "binary")
    inputs = {port: made.inputs[port] for port in ("model", "table", "split")}
    run = run_step(XAI, {"xai": option("xai", "gradients")}, inputs, tmp_path / "run")
    found = run.outputs["report"].json("xai.json")
    train = made.categorical[made.codes == 0, 0]
    weights = np.array([-1.0, 0.0, 1.0])
    adds = weights - weights[np.bincount(train).argmax()]
    values = {item["name"]: item for item in found["by_value"]}
    val = made.categorical[made.codes == 1, 0]
    for code, name in enumerate(("(null)", "b", "c")):
        assert values[f"c0 = {name}"]["mean"] == pytest.approx(adds[code], abs=1e-5)
        assert values[f"c0 = {name}"]["rows"] == (val == code).sum()
    importance = {item["input"]: item for item in found["importance"]}
    assert importance["c0"]["mean"] == pytest.approx(np.abs(adds[val]).mean(), abs=1e-5)
    assert importance["c1"]["mean"] == 0 and importance["c0"]["kind"] == "categorical"
    assert found["completeness_gap"] < 1e-5 and "untold" not in found
