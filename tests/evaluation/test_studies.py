"""Diagnose, robustness and explanation of models whose behaviour is known; equal bytes; the linear benchmark."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mldlc.evaluation.benchmark import fit_linear
from mldlc.evaluation.diagnose import bias_variance
from mldlc.evaluation.spec import DIAGNOSE, ROBUSTNESS, XAI
from mldlc.evaluation.task import Task
from mldlc.plan.context import StepError
from tests.evaluation.study import World, option, world
from tests.step_harness import StepRun, run_step

KINDS = ("binary", "multiclass", "regression")
STUDIES = [
    (DIAGNOSE, "diagnose", "standard"),
    (ROBUSTNESS, "robustness", "standard"),
    (XAI, "xai", "permutation"),
    (XAI, "xai", "gradients"),
]


def study(made: World, folder, spec, group, name, **changes) -> StepRun:
    inputs = {port: made.inputs[port] for port in ("model", "table", "split")}
    return run_step(spec, {group: option(group, name, **changes)}, inputs, folder)


def report(run: StepRun, group: str) -> dict:
    return run.outputs["report"].json(f"{group}.json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("spec", "group", "name"), STUDIES)
def test_equal_inputs_give_equal_bytes(tmp_path, kind, spec, group, name):
    made = world(tmp_path, kind, rows=800)
    first = study(made, tmp_path / "a", spec, group, name)
    assert first.digest("report") == study(made, tmp_path / "b", spec, group, name).digest("report")
    assert report(first, group)["task"] == kind


@pytest.mark.parametrize(("spec", "group"), [(DIAGNOSE, "diagnose"), (ROBUSTNESS, "robustness"), (XAI, "xai")])
def test_none_says_so(tmp_path, spec, group):
    run = study(world(tmp_path, "binary", rows=200), tmp_path / "run", spec, group, "none")
    assert report(run, group) == {"format": f"mldlc.{group}/1", "kind": "none"}


@pytest.mark.parametrize("kind", KINDS)
def test_permutation_importance_finds_the_planted_inputs(tmp_path, kind):
    found = report(study(world(tmp_path, kind), tmp_path / "run", XAI, "xai", "permutation"), "xai")["importance"]
    by_name = {item["input"]: item["mean"] for item in found}
    assert found[0]["input"] == "x0"
    assert by_name["x0"] > 5 * abs(by_name["x1"])
    assert by_name["x2"] == by_name["c1"] == 0  # the model does not look at them
    assert (by_name["c0"] > 0) == (kind != "multiclass")


@pytest.mark.parametrize("method", ["integrated", "gradient_x_input"])
def test_gradients_of_a_linear_model_are_its_weights(tmp_path, method):
    made = world(tmp_path, "binary")
    run = study(made, tmp_path / "run", XAI, "xai", "gradients", method=method)
    found = {item["input"]: item["mean"] for item in report(run, "xai")["importance"]}
    base = made.numeric[made.codes == 0].mean(0, dtype=np.float64)
    away = np.abs(made.numeric[made.codes == 1] - base).mean(0)
    assert found["x0"] == pytest.approx(2.0 * away[0], rel=1e-4)
    assert found["x1"] == pytest.approx(0.3 * away[1], rel=1e-4)
    assert found["x2"] == 0
    gap = report(run, "xai")["completeness_gap"]
    assert gap is None if method == "gradient_x_input" else gap < 1e-5


def test_robustness_falls_with_noise_and_with_the_strong_input(tmp_path):
    found = report(study(world(tmp_path, "binary"), tmp_path / "run", ROBUSTNESS, "robustness", "standard"),
                   "robustness")  # fmt: skip
    drops = [item["drop"] for item in found["noise"]]
    assert drops == sorted(drops) and drops[-1] > 0.05
    missing = {item["input"]: item["drop"] for item in found["missing"]}
    assert max(missing, key=missing.get) == "x0" and missing["x2"] == 0
    assert {item["input"] for item in found["shuffle"]} == {"c0", "c1"}


def test_sensitivity_of_a_linear_regression_is_its_weights(tmp_path):
    made = world(tmp_path, "regression")
    found = report(study(made, tmp_path / "run", DIAGNOSE, "diagnose", "standard"), "diagnose")["sensitivity"]
    moved = {item["input"]: item for item in found["numeric"]}
    sd = made.numeric[made.codes == 0].std(0, dtype=np.float64)
    assert moved["x0"]["mean_change"] == pytest.approx(3 * 2.0 * sd[0], rel=1e-4)  # the label's scale is 3
    assert moved["x2"]["mean_absolute_change"] == 0
    switched = {item["input"]: item for item in found["categorical"]}
    assert switched["c0"]["spread"] == pytest.approx(3 * 2.0, rel=1e-4)  # from -1 to +1
    assert {one["value"] for one in switched["c1"]["values"]} == {"(null)", "(other)", "r", "s"}
    assert {one["value"] for one in switched["c0"]["values"]} == {"(null)", "b", "c"}


def test_residuals_name_the_worst_rows(tmp_path):
    made = world(tmp_path, "regression")
    found = report(study(made, tmp_path / "run", DIAGNOSE, "diagnose", "standard"), "diagnose")["residuals"]
    signal = 2.0 * made.numeric[:, 0] + 0.3 * made.numeric[:, 1] + made.categorical[:, 0] - 1
    error = np.abs(made.label - (10 + 3 * signal))
    test = np.flatnonzero(made.codes == 2)
    assert found["worst"][0]["row"] == test[np.argmax(error[test])]
    assert len(found["worst"]) == 20
    assert sum(item["rows"] for item in found["by_decile"]) == len(test)


def _models(train: float, val: float, linear: float) -> dict:
    def parts(value: float) -> dict:
        return {"parts": {"val": {"auroc": value}}}

    return {
        "model": {"parts": {"train": {"auroc": train}, "val": {"auroc": val}}},
        "linear": parts(linear),
        "constant": parts(0.5),
    }


def test_bias_and_variance_say_what_to_do():
    task = Task("binary", ("no", "yes"))
    under = bias_variance(task, "auroc", _models(0.80, 0.79, 0.7), 0.95, "val")
    assert under["avoidable_bias"] == pytest.approx(0.15) and under["variance"] == pytest.approx(0.01)
    assert under["advice"][0].startswith("underfits")
    over = bias_variance(task, "auroc", _models(0.99, 0.80, 0.85), 1.0, "val")
    assert over["advice"][0].startswith("overfits")
    assert "linear model does as well" in over["advice"][1]


def test_linear_benchmark_equals_sklearn():
    rng = np.random.default_rng(0)
    numeric, categorical = rng.normal(3, 5, (2000, 3)).astype(np.float32), rng.integers(0, 4, (2000, 2))
    signal = numeric @ [0.3, -0.1, 0.0] + categorical[:, 0]
    wide = np.hstack([StandardScaler().fit_transform(numeric), OneHotEncoder().fit_transform(categorical).toarray()])
    value = signal + rng.normal(size=2000)
    ours = fit_linear(Task("regression"), numeric, categorical, [4, 4], value, None, iterations=200, l2=0.0)
    theirs = LinearRegression().fit(wide, value).predict(wide)
    assert ours.predict(numeric, categorical) == pytest.approx(theirs, abs=1e-4)
    label = (value > np.median(value)).astype(np.int64)
    task = Task("binary", ("no", "yes"))
    ours = fit_linear(task, numeric, categorical, [4, 4], label, None, iterations=200, l2=1e-3)
    theirs = LogisticRegression(C=1 / (2 * 1e-3 * 2000), tol=1e-10, max_iter=1000).fit(wide, label)
    assert ours.predict(numeric, categorical) == pytest.approx(theirs.predict_proba(wide)[:, 1], abs=1e-4)


def test_mistakes_are_named(tmp_path):
    made = world(tmp_path, "binary", rows=300)
    with pytest.raises(StepError, match="no part 'tset'") as caught:
        study(made, tmp_path / "a", ROBUSTNESS, "robustness", "standard", part="tset")
    assert caught.value.where == "robustness.part" and "test" in caught.value.hint
    with pytest.raises(StepError, match="no metric 'r2'"):
        study(made, tmp_path / "b", XAI, "xai", "permutation", metric="r2")


BOOSTING = {"rounds": 40, "min_leaf_rows": 5}


@pytest.mark.parametrize("kind", KINDS)
def test_boosted_trees_stand_beside_the_model(tmp_path, kind):
    made = world(tmp_path, kind)
    runs = [study(made, tmp_path / n, DIAGNOSE, "diagnose", "standard", boosting=BOOSTING) for n in "ab"]
    assert runs[0].digest("report") == runs[1].digest("report")
    found = report(runs[0], "diagnose")
    trees, constant = (found["models"][name]["parts"]["test"] for name in ("boosting", "constant"))
    metric, better = found["bias_variance"]["metric"], found["bias_variance"]["better"]
    assert trees[metric] > constant[metric] if better == "higher" else trees[metric] < constant[metric]
    gap = found["models"]["model"]["parts"]["test"][metric] - trees[metric]
    assert found["bias_variance"]["over_boosting"] == pytest.approx(gap if better == "higher" else -gap, abs=1e-6)


def test_boosting_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(StepError, match="boosted trees need scikit-learn") as refused:
        study(
            world(tmp_path, "binary", rows=300), tmp_path / "run", DIAGNOSE, "diagnose", "standard", boosting=BOOSTING
        )
    assert "mldlc[boost]" in refused.value.hint
