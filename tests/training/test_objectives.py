"""Losses, scores and label encodings against sklearn and numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, r2_score, roc_auc_score
from sklearn.utils.class_weight import compute_class_weight

from mldlc.artifacts.model import load_model, predictions
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import load_tensors
from mldlc.plan.context import StepError
from mldlc.training.config import AutoObjective, Binary, Multiclass, Regression
from mldlc.training.objective import auroc
from mldlc.training.objectives import auto, binary, multiclass, regression
from mldlc.training.spec import SCORES, TRAIN
from tests.step_harness import run_step
from tests.training import tables

TWO = {"name": "y", "kind": "class", "classes": ["no", "yes"]}
THREE = {"name": "y", "kind": "class", "classes": ["a", "b", "c"]}
VALUE = {"name": "price", "kind": "value"}
RNG = np.random.default_rng(0)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=60))
def test_auroc_agrees_with_sklearn_with_ties(rows: list[tuple[int, bool]]) -> None:
    score, positive = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    area = auroc(torch.from_numpy(score), torch.from_numpy(positive))
    if positive.all() or not positive.any():
        assert area is None
    else:
        assert area == pytest.approx(roc_auc_score(positive, score), abs=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_loss_is_log_loss(weighted: bool) -> None:
    label, raw = RNG.integers(0, 2, 500).astype(np.int32), torch.from_numpy(RNG.normal(size=500)).float()
    weight = RNG.random(500) if weighted else None
    objective = binary.build(Binary(kind="binary"), TWO, label)
    given = [] if weight is None else [torch.from_numpy(weight).float()]
    loss = float(objective.loss(raw, objective.encode(label), *given))
    probability = predictions(raw, objective.card).numpy()
    assert loss == pytest.approx(log_loss(label, probability, sample_weight=weight), rel=1e-5)
    assert objective.scores(raw, objective.encode(label))["accuracy"] == accuracy_score(label, probability > 0.5)


def test_binary_smoothing_and_pos_weight() -> None:
    label, raw = np.array([0, 0, 0, 1], np.int32), torch.tensor([0.3, -1.0, 2.0, 0.5])
    objective = binary.build(Binary(kind="binary", label_smoothing=0.2, pos_weight="auto"), TWO, label)
    assert objective.pos_weight == 3.0
    target = np.array([0.1, 0.1, 0.1, 0.9])
    p = 1 / (1 + np.exp(-raw.double().numpy()))
    wanted = -(3 * target * np.log(p) + (1 - target) * np.log(1 - p)).mean()
    assert float(objective.loss(raw, objective.encode(label))) == pytest.approx(wanted, rel=1e-5)
    assert objective.scores(raw, objective.encode(label))["accuracy"] == 0.5


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_multiclass_loss(smoothing: float) -> None:
    label = RNG.choice(3, 300, p=[0.6, 0.3, 0.1]).astype(np.int32)
    raw = torch.from_numpy(RNG.normal(size=(300, 3))).float()
    cfg = Multiclass(kind="multiclass", label_smoothing=smoothing, class_weights="balanced")
    objective = multiclass.build(cfg, THREE, label)
    assert objective.class_weights == pytest.approx(compute_class_weight("balanced", classes=np.arange(3), y=label))
    if not smoothing:
        weight = np.array(objective.class_weights)[label]
        wanted = log_loss(label, predictions(raw, objective.card).numpy(), sample_weight=weight)
        assert float(objective.loss(raw, objective.encode(label))) == pytest.approx(wanted, rel=1e-5)
    assert objective.out_features == 3


@pytest.mark.parametrize("log_target", [False, True])
def test_regression_scores_are_in_the_labels_unit(log_target: bool) -> None:
    label = np.exp(RNG.normal(10, 1, 400)).astype(np.float32)
    objective = regression.build(Regression(kind="regression", log_target=log_target), VALUE, label)
    target = objective.encode(label)
    assert abs(float(target.mean())) < 1e-5 and float(target.std(correction=0)) == pytest.approx(1, rel=1e-4)
    assert predictions(target, objective.card).numpy() == pytest.approx(label, rel=1e-4)
    raw = target + 0.1
    guess = predictions(raw, objective.card).numpy()
    scores = objective.scores(raw, target)
    assert scores["r2"] == pytest.approx(r2_score(label, guess), rel=1e-4)
    assert scores["mae"] == pytest.approx(mean_absolute_error(label, guess), rel=1e-4)


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_regression_losses(name: str) -> None:
    objective = regression.build(Regression(kind="regression", loss=name), VALUE, np.array([0.0, 2.0]))
    raw, target = torch.tensor([0.0, 0.25, 1.25, 2.0]), torch.zeros(4)
    error = np.array([0.0, 0.25, 1.25, 2.0])
    by_hand = {
        "mse": (error**2).mean(),
        "mae": error.mean(),
        "huber": np.where(error <= 1, error**2 / 2, error - 0.5).mean(),
    }
    assert float(objective.loss(raw, target)) == pytest.approx(by_hand[name])


def test_auto_goes_by_the_label() -> None:
    cfg, label = AutoObjective(kind="auto"), np.array([0, 1, 1])
    assert auto.build(cfg, TWO, label).kind == "binary"
    assert auto.build(cfg, THREE, label).kind == "multiclass"
    assert auto.build(cfg, VALUE, label.astype(float)).kind == "regression"


def test_labels_that_do_not_fit() -> None:
    with pytest.raises(StepError, match="needs two classes, but 'y' has 3"):
        binary.build(Binary(kind="binary"), THREE, np.array([0, 1]))
    with pytest.raises(StepError, match="needs a label of classes"):
        multiclass.build(Multiclass(kind="multiclass"), VALUE, np.array([0, 1]))
    with pytest.raises(StepError, match="has classes"):
        regression.build(Regression(kind="regression"), TWO, np.array([0, 1]))
    with pytest.raises(StepError, match="constant"):
        regression.build(Regression(kind="regression"), VALUE, np.ones(3))
    with pytest.raises(StepError, match="values above -1"):
        regression.build(Regression(kind="regression", log_target=True), VALUE, np.array([-3.0, 1.0]))


def test_linear_model_finds_what_logistic_regression_finds(tmp_path: Path) -> None:
    """`model: linear` trained to its optimum against sklearn's LogisticRegression without penalty."""
    numeric, codes = RNG.normal(size=(1500, 4)), RNG.integers(0, 3, (1500, 1))
    chance = 1 / (1 + np.exp(-numeric @ np.array([1.0, -0.5, 0.2, 0.0]) - 0.5 * codes[:, 0] + 0.3))
    label = (RNG.random(1500) < chance).astype(np.int32)
    facts = {"kind": "class", "classes": ["no", "yes"]}
    inputs = tables.prepared(tmp_path / "in", numeric, codes, label, facts, cardinalities=[3], shares=(1.0, 0.0))
    config = tables.config(
        model={"kind": "linear"},
        optimizer={"kind": "adam", "lr": 0.05, "weight_decay": 0.0, "scheduler": {"kind": "cosine"}},
        trainer={"max_epochs": 300}, ingest={"batch_size": 1500}, callbacks={"early_stopping": None, "checkpoint": None},
    )  # fmt: skip
    run = run_step(TRAIN, config, inputs, tmp_path / "run", threads=1)
    data = load_tensors(Table(inputs["table"]))
    ours = load_model(run.outputs["model"]).predict(data.numeric, data.categorical)
    x = np.hstack([data.numeric, np.eye(3)[data.categorical[:, 0]]])
    theirs = LogisticRegression(C=1e6, max_iter=2000).fit(x, data.label).predict_proba(x)[:, 1]
    assert np.abs(ours - theirs).max() < 0.01


@pytest.mark.parametrize("label", [TWO, THREE, VALUE], ids=["binary", "multiclass", "regression"])
def test_scores_are_those_that_a_plan_is_told(label: dict[str, object]) -> None:
    train = RNG.integers(0, len(label.get("classes", "abc")), 50)  # type: ignore[arg-type]
    objective = auto.build(AutoObjective(kind="auto"), label, train)
    raw = torch.from_numpy(RNG.normal(size=(50, objective.out_features))).float().squeeze(1)
    assert tuple(objective.scores(raw, objective.encode(train))) == SCORES[objective.kind]
