"""compare, select_best, ensemble: what is chosen, by what, and what is said about the keys of the sweep."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import write_table
from mldlc.evaluation import spec
from mldlc.evaluation.importance import binned, importance
from mldlc.evaluation.predictions import ROLES
from mldlc.evaluation.task import Task
from mldlc.evaluation.work import compare_work
from mldlc.plan.context import StepError
from tests.evaluation.study import option
from tests.step_harness import StepRun, artifact, run_step


def report(folder: Path, val: float | None, test: float = 0.5, **changes: Any) -> Artifact:
    """The metrics of one point."""
    folder.mkdir(parents=True)
    body = {
        "primary": "auroc", "better": {"auroc": "higher", "log_loss": "lower"},
        "parts": {
            "val": {"n": 9, "auroc": val, "log_loss": None if val is None else -math.log(val), "odd": 1.0},
            "test": {"n": 9, "auroc": test},
        },
    } | changes  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(body))
    return artifact("Metrics", folder)


def named(folder: Path, kind: str, text: str) -> Artifact:
    folder.mkdir(parents=True)
    (folder / "file.bin").write_text(text)
    return artifact(kind, folder)


def points(tmp_path: Path, values: dict[str, float | None]) -> dict[str, Artifact]:
    return {
        label: report(tmp_path / f"m{i}", value, 1 - (value or 0)) for i, (label, value) in enumerate(values.items())
    }


def compare(tmp_path: Path, metrics: dict[str, Artifact], **changes: Any) -> tuple[StepRun, dict[str, Any]]:
    done = run_step(
        spec.COMPARE, {"compare": option("compare", "standard", **changes)}, {"metrics": metrics}, tmp_path / "c"
    )
    return done, done.outputs["comparison"].json("comparison.json")


VALUES = {"lr=0.1": 0.7, "lr=0.2": 0.9, "lr=0.3": None, "base": 0.8}


def test_the_table_the_order_and_the_best(tmp_path: Path) -> None:
    done, found = compare(tmp_path, points(tmp_path, VALUES))
    assert (found["best"], found["metric"], found["mode"], found["part"]) == ("lr=0.2", "auroc", "max", "val")
    assert found["order"] == ["lr=0.2", "base", "lr=0.1", "lr=0.3"]
    assert done.summary == {"best": "lr=0.2", "value": 0.9, "by": "val auroc", "points": 4}
    assert {p["point"]: p["overrides"] for p in found["points"]}["lr=0.1"] == {"lr": "0.1"}


def test_the_order_of_the_points_changes_no_byte(tmp_path: Path) -> None:
    metrics = points(tmp_path, VALUES)
    one, _ = compare(tmp_path / "one", metrics)
    two, _ = compare(tmp_path / "two", dict(reversed(metrics.items())))
    assert one.digest("comparison") == two.digest("comparison")


def test_another_metric_its_direction_and_ties(tmp_path: Path) -> None:
    metrics = points(tmp_path, {"b=1": 0.9, "a=1": 0.9, "c=1": 0.1})
    assert compare(tmp_path / "1", metrics, metric="log_loss")[1]["best"] == "a=1"
    assert compare(tmp_path / "2", metrics, metric="log_loss", mode="max")[1]["best"] == "c=1"
    assert compare(tmp_path / "3", metrics, mode="min")[1]["best"] == "c=1"


WRONG = [
    ({"metric": "aurc"}, "the metrics of 'val' have no 'aurc'", "did you mean 'auroc'?"),
    ({"part": "vall"}, "the metrics have no part 'vall'", "did you mean 'val'?"),
    ({"metric": "odd"}, "which way 'odd' is better is not known", "compare.mode=min or max"),
]


@pytest.mark.parametrize(("changes", "message", "hint"), WRONG)
def test_what_cannot_judge_is_told(tmp_path: Path, changes: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(StepError) as caught:
        compare(tmp_path, points(tmp_path, VALUES), **changes)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_nothing_to_judge_and_the_test_rows(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no point has a value of val auroc"):
        compare(tmp_path, points(tmp_path, {"a=1": None}))
    with pytest.raises(ValidationError, match="must not be chosen on the test rows"):
        compare(tmp_path, {}, part="test")


def test_the_best_point_passes_its_artifacts_on(tmp_path: Path) -> None:
    inputs = {
        "metrics": points(tmp_path, VALUES),
        "models": {label: named(tmp_path / f"model{i}", "Model", label) for i, label in enumerate(VALUES)},
        "preprocessors": {label: named(tmp_path / f"pre{i}", "Preprocessor", "same") for i, label in enumerate(VALUES)},
    }
    done = run_step(spec.SELECT_BEST, {"compare": option("compare", "standard")}, inputs, tmp_path / "best")
    assert done.digest("model") == inputs["models"]["lr=0.2"].digest
    assert done.digest("preprocessor") == inputs["preprocessors"]["base"].digest
    assert done.digest("metrics") == inputs["metrics"]["lr=0.2"].digest
    decision = done.outputs["decision"].json("decision.json")
    assert decision["why"] == "val auroc 0.9 is the max of 4 points" and decision["evidence"]["overrides"] == {
        "lr": "0.2"
    }
    del inputs["models"]["lr=0.2"]
    with pytest.raises(StepError, match=r"the best point, lr=0\.2, gave no model"):
        run_step(spec.SELECT_BEST, {"compare": option("compare", "standard")}, inputs, tmp_path / "again")


def test_shares_of_an_additive_grid_sum_to_one() -> None:
    grid = [({"a": str(a), "b": str(b), "c": "x"}, 3.0 * a + b) for a, b in itertools.product(range(3), range(4))]
    found = {item["key"]: item["share"] for item in importance(grid)}
    assert found["a"] + found["b"] == pytest.approx(1.0) and found["c"] == 0.0 and next(iter(found)) == "a"
    spread = {key: np.var([factor * v for v in range(n)]) for key, factor, n in (("a", 3.0, 3), ("b", 1.0, 4))}
    assert found["a"] / found["b"] == pytest.approx(spread["a"] / spread["b"])
    product = [({"a": str(a), "b": str(b)}, float(a * b)) for a, b in itertools.product((-1, 1), repeat=2)]
    assert [item["share"] for item in importance(product)] == [0.0, 0.0]  # nothing but an interaction


def test_numbers_that_hardly_repeat_are_binned_and_noise_explains_little() -> None:
    rng = np.random.default_rng(0)
    rates, noise = rng.random(200), rng.random(200)
    found = {i["key"]: i["share"] for i in importance(
        [({"rate": f"{r:.6f}", "noise": f"{n:.6f}"}, float(r)) for r, n in zip(rates, noise, strict=True)])}  # fmt: skip
    assert found["rate"] > 0.95 and found["noise"] < 0.15
    assert len(set(binned([f"{r}" for r in rates]))) == 8 and binned(["1", "2"]) == ["1", "2"]
    assert (
        importance([({"a": "1"}, 1.0)]) == [] and importance([({"a": "1"}, 2.0), ({"a": "2"}, 2.0)])[0]["share"] == 0.0
    )


def test_data_work_against_model_work(tmp_path: Path) -> None:
    values = {"base": 0.8, "clean=rules": 0.85, "split.learn=0.5": 0.7, "labels=drop": 0.86, "model=linear": 0.6,
              "optimizer.lr=1": 0.81, "seed=1,clean=rules": 0.99}  # fmt: skip
    work = compare(tmp_path, points(tmp_path, values))[1]["work"]
    rows = {row["name"]: row for row in work["rows"]}
    assert work["base"] == 0.8 and (rows["data"]["points"], rows["model"]["points"]) == (3, 2)
    assert rows["data"]["gain"] == pytest.approx(0.06) and rows["data"]["point"] == "labels=drop"
    assert rows["model"]["per_point"] == pytest.approx(0.005) and rows["model"]["test_gain"] == pytest.approx(-0.01)
    assert compare_work([], "auroc", "max") is None
    assert compare(tmp_path / "2", points(tmp_path / "p", {"a=1": 0.5, "a=2": 0.6}))[1]["work"] is None


def predictions(folder: Path, values: np.ndarray, label: np.ndarray) -> Artifact:
    frame = pl.DataFrame(
        {
            "row": np.arange(len(values)), "part": pl.Series(["val", "test"] * (len(values) // 2), dtype=pl.Enum(["val", "test"])),
            "label": pl.Series(["ny"[v] for v in label], dtype=pl.Enum(["n", "y"])),
            "class": pl.Series(["ny"[int(v >= 0.5)] for v in values], dtype=pl.Enum(["n", "y"])),
            "probability": pl.Series(values, dtype=pl.Float32),
        }
    )  # fmt: skip
    folder.mkdir(parents=True)
    info = {"task": "binary", "parts": ["val", "test"], "classes": ["n", "y"], "threshold": 0.5}
    write_table(folder, [("p", frame)], roles=ROLES, info=info)
    return artifact("Table", folder)


def test_an_ensemble_scores_the_mean_of_the_best(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 200)
    noisy = [np.clip(label * 0.4 + rng.random(200) * 0.6, 0, 1).astype(np.float32) for _ in range(3)]
    metrics = points(tmp_path, {"a=1": 0.8, "a=2": 0.9, "a=3": 0.1})
    tables = {f"a={i + 1}": predictions(tmp_path / f"t{i}", values, label) for i, values in enumerate(noisy)}
    config = {"compare": option("compare", "standard"), "ensemble": option("ensemble", "mean", top=2)}
    done = run_step(spec.ENSEMBLE, config, {"metrics": metrics, "predictions": tables}, tmp_path / "e")
    found = done.outputs["metrics"].json("metrics.json")
    val = np.arange(0, 200, 2)
    mean = (noisy[0].astype(np.float64) + noisy[1]) / 2
    task = Task("binary", ("n", "y"))
    expected = task.measure(task.sample(val, label[val], mean[val]))
    assert found["parts"]["val"]["auroc"] == pytest.approx(expected["auroc"], rel=1e-9)
    assert found["members"] == ["a=2", "a=1"] and done.summary["members"] == 2
    tables["a=1"] = predictions(tmp_path / "other", noisy[0], 1 - label)
    with pytest.raises(StepError, match="was evaluated on other rows"):
        run_step(spec.ENSEMBLE, config, {"metrics": metrics, "predictions": tables}, tmp_path / "e2")
