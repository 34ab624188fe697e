"""The train step on tables: determinism, early stopping, own models, clear errors, and what it learns on Adult."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.profilers import Profiler
from safetensors.torch import load_file
from sklearn.metrics import r2_score, roc_auc_score

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.model import load_model
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table, write_table
from mldlc.artifacts.tensors import load_tensors
from mldlc.plan.context import StepError
from mldlc.training.spec import TRAIN
from tests.shared_data import shared
from tests.step_harness import StepRun, artifact, run_step
from tests.training import tables

pytestmark = pytest.mark.usefixtures("kit")
NONE = {"early_stopping": None, "checkpoint": None}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return tables.blobs(tmp_path_factory.mktemp("two") / "in", rows=1500)


def train(inputs: dict[str, Artifact], folder: Path, **groups: dict[str, Any]) -> StepRun:
    return run_step(TRAIN, tables.config(**groups), inputs, folder, threads=1)


def predict(run: StepRun, inputs: dict[str, Artifact], part: str = "test") -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels of a part."""
    data, rows = load_tensors(Table(inputs["table"])), Split(inputs["split"]).rows(part)
    model = load_model(run.outputs["model"])
    return model.predict(data.numeric[rows], data.categorical[rows], batch_size=100), data.label[rows]


def history(run: StepRun) -> dict[str, Any]:
    return run.outputs["history"].json("history.json")


@pytest.mark.parametrize(
    "model", [{"kind": "mlp", "numeric_embedding": "periodic", "norm": "layer"}, {"kind": "linear"}]
)
def test_twice_gives_equal_bytes(two: dict[str, Artifact], tmp_path: Path, model: dict[str, Any]) -> None:
    a, b = (train(two, tmp_path / name, model=model) for name in "ab")
    assert (a.digest("model"), a.digest("history")) == (b.digest("model"), b.digest("history"))
    assert sorted(a.outputs["model"].files) == ["model.json", "model.safetensors"]
    other = train(two, tmp_path / "c", model=model, trainer={"seed": 1})
    assert other.digest("model") != a.digest("model")


def test_what_only_reports_does_not_change_the_model(two: dict[str, Artifact], tmp_path: Path) -> None:
    plain = train(two, tmp_path / "a")
    talks = {"log_every_n_steps": 3, "num_sanity_val_steps": 2, "profiler": "simple", "checkpoint_every_seconds": 1e-6}
    watched = train(
        two, tmp_path / "b", trainer=talks, callbacks={"loggers": [{"target": "mynets.watch:Silent"}]}
    )  # fmt: skip
    assert plain.digest("model") == watched.digest("model")
    first, second = (history(run)["epochs"] for run in (plain, watched))
    assert first == [row | {"train_loss": pytest.approx(row["train_loss"])} for row in second]
    assert not [p for p in (tmp_path / "b").iterdir() if p.name not in ("out", "scratch", "temp", "outputs")]


def test_a_step_is_spared_lightnings_bookkeeping(
    two: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opens a context for each hook, and sets an attribute around it: of ten steps more, none is seen by either."""
    calls = {"contexts": 0, "attributes": 0}

    def counted(what: str, function: Any) -> Any:
        def call(*args: Any, **keys: Any) -> Any:
            calls[what] += 1
            return function(*args, **keys)

        return call

    monkeypatch.setattr(Profiler, "profile", counted("contexts", Profiler.profile))
    monkeypatch.setattr(torch.nn.Module, "__setattr__", counted("attributes", torch.nn.Module.__setattr__))
    seen = []
    for batches in (4, 14):
        calls |= dict.fromkeys(calls, 0)
        keys = {"max_epochs": 1, "limit_train_batches": batches, "limit_val_batches": 0}
        train(two, tmp_path / str(batches), trainer=keys, callbacks=NONE)
        seen.append(dict(calls))
    assert seen[0] == seen[1] and seen[0]["attributes"] > 0 and not seen[0]["contexts"]


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_bfloat16_clips_gradients_as_float32_does(two: dict[str, Artifact], tmp_path: Path, algorithm: str) -> None:
    def run(name: str, precision: str, limit: float) -> StepRun:
        clip = {"gradient_clip_val": limit, "gradient_clip_algorithm": algorithm}
        return train(two, tmp_path / name, trainer={"precision": precision, "max_epochs": 2, **clip})

    full, half = run("full", "32-true", 0.5), run("half", "bf16-mixed", 0.5)
    for one, other in zip(history(full)["epochs"], history(half)["epochs"], strict=True):
        assert other["train_loss"] == pytest.approx(one["train_loss"], abs=0.02)
    assert half.digest("model") != full.digest("model")


def test_a_time_limit_ends_the_training(two: dict[str, Artifact], tmp_path: Path) -> None:
    """With no time at all the first batch is the last one; what it gave is validated and becomes the model."""
    found = history(train(two, tmp_path / "a", trainer={"max_epochs": 500, "max_time": "00:00:00:00"}))
    assert found["stopped"] == "max_time"
    assert len(found["epochs"]) <= 1
    assert history(train(two, tmp_path / "b", trainer={"max_time": "00:01:00:00"}))["stopped"] == "max_epochs"


@pytest.mark.parametrize("keep", [None, {"monitor": "val_loss", "mode": "min"}], ids=["last", "best"])
def test_the_average_of_the_weights_becomes_the_model(
    two: dict[str, Artifact], tmp_path: Path, keep: dict[str, str] | None
) -> None:
    """A mean of a single epoch is that epoch's weights; two epochs' mean is between them; validation sees the mean."""
    callbacks = {"early_stopping": None, "checkpoint": keep}

    def weights(name: str, averaging: dict[str, Any] | None, epochs: int) -> dict[str, np.ndarray]:
        groups = {"optimizer": {"scheduler": {"kind": "none"}}, "trainer": {"max_epochs": epochs}}
        run = train(two, tmp_path / name, callbacks=callbacks | {"averaging": averaging}, **groups)
        return {key: t.numpy() for key, t in load_file(run.outputs["model"].files["model.safetensors"]).items()}

    one, two_ = weights("one", None, 1), weights("two", None, 2)
    last = weights("last", {"kind": "swa", "start_epoch": 2}, 2)
    mean = weights("mean", {"kind": "swa", "start_epoch": 1}, 2)
    name = next(key for key in one if key.endswith("weight"))
    assert not np.array_equal(one[name], two_[name])
    if keep is None:
        assert np.array_equal(last[name], two_[name])
        np.testing.assert_allclose(mean[name], (one[name] + two_[name]) / 2, atol=1e-6)
    ema = weights("ema", {"kind": "ema", "decay": 0.5}, 2)
    assert not np.array_equal(ema[name], two_[name])
    assert np.abs(ema[name] - two_[name]).max() < np.abs(one[name] - two_[name]).max()


def test_early_stopping_keeps_the_best_weights(two: dict[str, Artifact], tmp_path: Path) -> None:
    groups = {"optimizer": {"lr": 0.1, "scheduler": {"kind": "none"}}, "trainer": {"max_epochs": 60}}
    run = train(two, tmp_path / "a", callbacks={"early_stopping": {"patience": 3}}, **groups)
    found = history(run)
    losses = [row["val_loss"] for row in found["epochs"]]
    assert found["stopped"] == "early_stopping" and len(losses) < 60
    assert found["best_epoch"] == int(np.argmin(losses)) + 1 == len(losses) - 3
    probability, label = predict(run, two, "val")
    loss = -np.where(label == 1, np.log(probability), np.log1p(-probability)).mean()
    assert loss == pytest.approx(min(losses), rel=1e-5), "the model is the one of the best validation"
    assert [m for m in run.metrics if m[0] == "val_loss"] and [m for m in run.metrics if m[0] == "train_loss"]


def test_limits_end_the_training(two: dict[str, Artifact], tmp_path: Path) -> None:
    steps = train(two, tmp_path / "a", trainer={"max_epochs": 9, "max_steps": 20})
    assert steps.summary["steps"] == 20 and history(steps)["stopped"] == "max_steps"
    quick = train(two, tmp_path / "b", trainer={"fast_dev_run": True})
    assert quick.summary["steps"] == 1
    few = train(two, tmp_path / "c", trainer={"max_epochs": 30, "overfit_batches": 1}, callbacks=NONE)
    assert few.summary["steps"] == 30


@pytest.mark.parametrize("target", ["Joined", "Columns", "Own"])
def test_own_models(two: dict[str, Artifact], tmp_path: Path, target: str) -> None:
    run = train(
        two, tmp_path / "a", model={"kind": "custom", "target": f"mynets.nets:{target}"}, trainer={"max_epochs": 8}
    )  # fmt: skip
    probability, label = predict(run, two)
    assert probability.shape == label.shape and roc_auc_score(label, probability) > 0.9
    assert run.outputs["model"].json("model.json")["target"] == f"mynets.nets:{target}"


def test_weights_of_rows(tmp_path: Path) -> None:
    """Rows of weight 0 have no say: with all of one class weighted away, the other is predicted."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 800)
    info = {"kind": "class", "classes": ["a", "b"]}
    inputs = tables.prepared(
        tmp_path / "in", rng.normal(size=(800, 3)), np.empty((800, 0)), label, info, weight=(label == 0).astype(float)
    )
    run = train(inputs, tmp_path / "a", trainer={"max_epochs": 10}, optimizer={"lr": 0.05})
    assert predict(run, inputs)[0].max() < 0.1


def test_several_classes(tmp_path: Path) -> None:
    inputs = tables.blobs(tmp_path / "in", classes=4, seed=2)
    run = train(inputs, tmp_path / "a", trainer={"max_epochs": 8})
    probability, label = predict(run, inputs)
    assert probability.shape == (len(label), 4) and np.allclose(probability.sum(1), 1)
    assert (probability.argmax(1) == label).mean() > 0.8


@pytest.mark.parametrize("log_target", [False, True])
def test_regression_predicts_in_the_labels_unit(tmp_path: Path, log_target: bool) -> None:
    inputs = tables.line(tmp_path / "in", rows=1500)
    if log_target:
        inputs = tables.line(tmp_path / "positive", rows=1500, lift=60_000.0)
    objective = {"kind": "regression", "log_target": log_target}
    run = train(inputs, tmp_path / "a", objective=objective, trainer={"max_epochs": 30}, model={"dropout": 0.0})
    value, label = predict(run, inputs)
    assert r2_score(label, value) > 0.95
    best = history(run)["epochs"][history(run)["best_epoch"] - 1]
    value, label = predict(run, inputs, "val")
    assert best["val_r2"] == pytest.approx(r2_score(label, value), abs=1e-4)


ERRORS: list[tuple[dict[str, dict[str, Any]], str, str]] = [
    ({"model": {"kind": "custom", "target": "mynets.nets:Joinde"}}, "has no 'Joinde'", "did you mean 'Joined'?"),
    ({"model": {"kind": "custom", "target": "mynets.netz:Joined"}}, "no module", "did you mean 'mynets.nets'?"),
    ({"model": {"kind": "custom", "target": "mynets.nets.Joined"}}, "is no target", "write 'mynets.nets:Joined'"),
    (
        {"model": {"kind": "custom", "target": "mynets.nets:Joined", "args": {"widht": 3}}},
        "takes no argument 'widht'", "did you mean 'width'?",
    ),
    ({"model": {"kind": "custom", "target": "mynets.nets:WrongForward"}}, "does not fit a table", "take `numeric`"),
    ({"model": {"kind": "custom", "target": "mynets.nets:WrongWidth"}}, r"gave \(2, 3\) for 2 rows", "out_features"),
    ({"model": {"kind": "custom", "target": "mynets.watch:DieOnce"}}, "needs the arguments folder, steps", "under `args`"),
    ({"callbacks": {"early_stopping": {"monitor": "val_auc"}}}, "no metric 'val_auc'", "did you mean 'val_auroc'?"),
    ({"callbacks": {"extra": [{"target": "mynets.nets:Joined", "args": {"in_features": 2}}]}}, "no lightning Callback", ""),
    ({"optimizer": {"kind": "sgd", "lr": 1.0e12, "nesterov": False}}, r"loss became (nan|inf) in epoch 1, step \d", "lower"),
    ({"optimizer": {"scheduler": {"kind": "cosine"}}, "trainer": {"max_epochs": -1}}, "needs an end", "max_epochs"),
    ({"ingest": {"batch_size": 5000, "drop_last": True}}, "give no batch of 5000", "lower it"),
    ({"trainer": {"accelerator": "gpu"}}, "Lightning refuses", ""),
]  # fmt: skip


@pytest.mark.parametrize(("groups", "message", "hint"), ERRORS, ids=[message for _, message, _ in ERRORS])
def test_errors_say_what_and_how(
    two: dict[str, Artifact], tmp_path: Path, groups: dict[str, Any], message: str, hint: str
) -> None:
    if "accelerator" in str(groups) and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(StepError, match=message) as caught:
        train(two, tmp_path / "a", **groups)
    assert hint in caught.value.hint


def test_a_table_that_cannot_be_trained_on(tmp_path: Path, two: dict[str, Artifact]) -> None:
    frame = Table(two["table"]).load()
    info = Table(two["table"]).info
    for name, without, layout, message in (
        ("a", "label", "tensor", "no label"),
        ("b", "numeric", "rows", "not prepared"),
    ):
        folder = tmp_path / name / "table"
        folder.mkdir(parents=True)
        write_table(folder, [("all", frame.drop(without))], info=info | {"layout": layout})
        with pytest.raises(StepError, match=message):
            train(two | {"table": artifact("Table", folder)}, tmp_path / f"run-{name}")


def test_no_validation_rows(tmp_path: Path) -> None:
    inputs = tables.blobs(tmp_path / "in", rows=300, shares=(1.0, 0.0))
    with pytest.raises(StepError, match="no rows in 'val'"):
        train(inputs, tmp_path / "a")
    found = history(train(inputs, tmp_path / "b", callbacks=NONE))
    assert found["best_epoch"] is None and set(found["epochs"][0]) == {"epoch", "train_loss", "lr"}


def test_loading_names_a_class_that_changed(two: dict[str, Artifact], tmp_path: Path) -> None:
    run = train(two, tmp_path / "a", model={"kind": "custom", "target": "mynets.nets:Joined", "args": {"width": 4}})
    card = run.outputs["model"].file("model.json")
    card.write_text(card.read_text().replace('"width": 4', '"width": 5'))
    with pytest.raises(StepError, match="do not fit"):
        load_model(run.outputs["model"])


def test_the_spec_is_light() -> None:
    import subprocess

    code = "import sys, mldlc.training.spec; print([m for m in ('torch', 'lightning', 'numpy', 'polars') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_learns_adult(tmp_path: Path) -> None:
    inputs = tables.adult(shared("adult.data"), tmp_path / "in")
    run = train(
        inputs, tmp_path / "a", model={"kind": "mlp", "numeric_embedding": "periodic", "numeric_bins": 16},
        trainer={"max_epochs": 8}, optimizer={"lr": 0.002, "scheduler": {"kind": "one_cycle"}}, ingest={"batch_size": 256},
    )  # fmt: skip
    probability, label = predict(run, inputs)
    assert roc_auc_score(label, probability) > 0.905 and ((probability > 0.5) == label).mean() > 0.85
