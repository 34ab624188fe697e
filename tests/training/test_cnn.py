"""The small CNN on the real digits that are bundled: it reads them, keeps its input statistics, and names wrong shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import load_model
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import load_tensors
from mldlc.data.config.source import BUNDLED
from mldlc.plan.context import StepError
from mldlc.training.models.cnn import ImageCNN
from mldlc.training.spec import TRAIN
from tests.step_harness import StepRun, run_step
from tests.training import tables

CNN: dict[str, Any] = {"kind": "cnn", "shape": [1, 8, 8], "channels": [8, 16], "convolutions": 1}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    frame = pl.read_parquet(BUNDLED / "digits.parquet")
    pixels, label = frame.drop("digit").to_numpy(), frame["digit"].to_numpy()
    none = np.empty((len(label), 0), np.int32)
    info = {"kind": "class", "classes": [str(i) for i in range(10)]}
    return tables.prepared(tmp_path_factory.mktemp("digits") / "in", pixels, none, label, info)


def train(inputs: dict[str, Artifact], folder: Path, **groups: dict[str, Any]) -> StepRun:
    return run_step(TRAIN, tables.config(**groups), inputs, folder, threads=1)


def test_it_reads_digits_and_equal_seeds_give_equal_bytes(digits: dict[str, Artifact], tmp_path: Path) -> None:
    runs = [train(digits, tmp_path / name, model=CNN, trainer={"max_epochs": 4}) for name in "ab"]
    assert runs[0].digest("model") == runs[1].digest("model")
    data, rows = load_tensors(Table(digits["table"])), Split(digits["split"]).rows("test")
    model = load_model(runs[0].outputs["model"])
    found = model.predict(data.numeric[rows], data.categorical[rows]).argmax(1)
    assert (found == data.label[rows]).mean() >= 0.9
    seen = data.numeric[Split(digits["split"]).rows("train")]
    assert float(model.module.mean) == pytest.approx(float(seen.mean()), rel=1e-5)
    assert 1 / float(model.module.scale) == pytest.approx(float(seen.std()), rel=1e-5)


def test_pixels_are_read_by_channel_row_column() -> None:
    net = ImageCNN([2, 3, 4], 5, channels=[4], convolutions=1).eval()
    image = torch.randn(7, 2, 3, 4)
    seen: list[torch.Tensor] = []
    net.body[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    assert net(image.flatten(1), torch.empty(7, 0)).shape == (7, 5)
    assert torch.equal(seen[0], image)


@pytest.mark.parametrize(("shape", "text"), [([1, 8, 9], "8 x 9 has 72 pixels, but the table has 64")])
def test_a_wrong_shape_is_named(digits: dict[str, Artifact], tmp_path: Path, shape: list[int], text: str) -> None:
    with pytest.raises(StepError, match=text):
        train(digits, tmp_path / "a", model=CNN | {"shape": shape})


def test_a_table_with_categories_is_refused(tmp_path: Path) -> None:
    inputs = tables.blobs(tmp_path / "in", rows=100)
    with pytest.raises(StepError, match="2 categorical columns"):
        train(inputs, tmp_path / "a", model=CNN | {"shape": [1, 2, 3]})
