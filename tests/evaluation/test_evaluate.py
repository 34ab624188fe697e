"""The evaluate step on small tables with a known model: numbers, slices, predictions, equal bytes, clear errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from mldlc.artifacts.model import load_model
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table, write_json
from mldlc.artifacts.told import write_told
from mldlc.evaluation.spec import EVALUATE
from mldlc.plan.context import StepError
from tests.evaluation.study import World, option, world
from tests.step_harness import StepRun, artifact, run_step


def evaluate(made: World, folder, slices=None, inputs=None, **changes) -> StepRun:
    config = {"evaluate": option("evaluate", "standard", **changes), "slices": slices or option("slices", "none")}
    return run_step(EVALUATE, config, inputs or made.inputs, folder)


def report(run: StepRun) -> dict:
    return run.outputs["metrics"].json("metrics.json")


def test_binary_report_equals_sklearn_part_by_part(tmp_path):
    made = world(tmp_path, "binary", weight=True)
    run = evaluate(made, tmp_path / "run")
    found = report(run)
    probability = load_model(made.inputs["model"]).predict(made.numeric, made.categorical)
    weight = Table(made.inputs["table"]).load()["weight"].to_numpy()
    for code, part in enumerate(("train", "val", "test")):
        rows = made.codes == code
        expected = sk.roc_auc_score(made.label[rows], probability[rows], sample_weight=weight[rows])
        assert found["parts"][part]["auroc"] == pytest.approx(expected, rel=1e-9)
        assert found["parts"][part]["n"] == rows.sum()
    test = made.codes == 2
    matthews = sk.matthews_corrcoef(made.label[test], probability[test] >= 0.5)
    assert found["parts"]["test"]["matthews_corrcoef"] == pytest.approx(matthews, rel=1e-5)
    assert run.summary == {"metrics": found["parts"]}
    majority = np.average(made.label[test] == found["baseline"]["prediction"] // 0.5, weights=weight[test])
    assert found["baseline"]["parts"]["test"]["accuracy"] == pytest.approx(majority)


def test_curves_are_small_and_hold_the_same_area(tmp_path):
    found = report(evaluate(world(tmp_path, "binary", rows=20_000), tmp_path / "run"))["curves"]["test"]
    roc, pr = np.array(found["roc"]), np.array(found["pr"])
    assert len(roc) <= 200 and len(pr) <= 200
    assert roc[0].tolist() == [0, 0] and roc[-1].tolist() == [1, 1]
    auroc = report(evaluate(world(tmp_path / "w", "binary", rows=20_000), tmp_path / "r2"))["parts"]["test"]["auroc"]
    assert np.trapezoid(roc[:, 1], roc[:, 0]) == pytest.approx(auroc, abs=1e-3)
    matrix = np.array(found["confusion"]["matrix"])
    assert found["confusion"]["labels"] == ["no", "yes"]
    assert matrix.sum() == sum(b["rows"] for b in found["calibration"])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_equal_inputs_give_equal_bytes(tmp_path, kind):
    made = world(tmp_path, kind)
    slices, boot = option("slices", "auto", min_rows=5), {"samples": 20, "confidence": 0.9, "seed": 3}
    first = evaluate(made, tmp_path / "a", slices, bootstrap=boot)
    again = evaluate(made, tmp_path / "b", slices, bootstrap=boot)
    assert first.digest("metrics") == again.digest("metrics")
    assert first.digest("predictions") == again.digest("predictions")


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_predictions_keep_rows_and_partitions(tmp_path, kind):
    made = world(tmp_path, kind, partitions=3)
    run = evaluate(made, tmp_path / "run", parts=["val", "test"])
    table = Table(run.outputs["predictions"])
    frame = table.load()
    rows = np.flatnonzero(made.codes > 0)
    assert frame["row"].to_list() == rows.tolist()
    assert frame["part"].to_list() == [("train", "val", "test")[c] for c in made.codes[rows]]
    assert [p.name for p in table.partitions] == ["p0", "p1", "p2"]
    if kind == "regression":
        assert frame["label"].to_numpy() == pytest.approx(made.label[rows])
        expected = sk.r2_score(frame.filter(part="test")["label"], frame.filter(part="test")["prediction"])
        assert report(run)["parts"]["test"]["r2"] == pytest.approx(expected, abs=1e-6)
    else:
        test = frame.filter(part="test")
        assert report(run)["parts"]["test"]["accuracy"] == pytest.approx((test["label"] == test["class"]).mean())


def test_slices_sum_to_the_whole_and_name_values(tmp_path):
    made = world(tmp_path, "binary")
    cfg = option("slices", "columns", columns=["kind", "age", ["kind", "other"]], min_rows=1, parts=["val", "test"])
    found = report(evaluate(made, tmp_path / "run", cfg))
    for part in ("val", "test"):
        overall = found["parts"][part]
        for column in ("kind", "age", "kind & other"):
            rows = [s for s in found["slices"] if s["part"] == part and s["column"] == column]
            assert sum(s["rows"] for s in rows) == overall["n"]
            right = sum(s["rows"] * s["metrics"]["accuracy"] for s in rows)
            assert right / overall["n"] == pytest.approx(overall["accuracy"])
            for one in rows:
                assert one["delta"]["accuracy"] == pytest.approx(one["metrics"]["accuracy"] - overall["accuracy"])
    assert "kind=(null)" in {s["slice"] for s in found["slices"]}
    raw, test = Table(made.inputs["raw"]).load(), made.codes == 2
    one = next(s for s in found["slices"] if s["slice"] == "kind=a" and s["part"] == "test")
    chosen = test & (raw["kind"] == "a").fill_null(False).to_numpy()
    probability = load_model(made.inputs["model"]).predict(made.numeric[chosen], made.categorical[chosen])
    assert one["metrics"]["auroc"] == pytest.approx(sk.roc_auc_score(made.label[chosen], probability), rel=1e-9)


def test_auto_slices_are_the_worst_first(tmp_path):
    found = report(evaluate(world(tmp_path, "regression"), tmp_path / "run", option("slices", "auto", worst=4)))
    drops = [s["delta"]["rmse"] for s in found["slices"]]
    assert len(drops) == 4 and drops == sorted(drops, reverse=True) and drops[0] > 0
    assert all(s["rows"] >= 50 for s in found["slices"])


def test_threshold_comes_from_val_rows_only(tmp_path):
    made = world(tmp_path, "binary")
    first = report(evaluate(made, tmp_path / "a", threshold="f1"))
    flipped = _with_test_labels_flipped(made, tmp_path)
    second = report(evaluate(made, tmp_path / "b", inputs=flipped, threshold="f1"))
    assert first["threshold"] == second["threshold"]
    assert first["threshold"]["value"] != 0.5
    assert first["parts"]["test"]["accuracy"] == pytest.approx(1 - second["parts"]["test"]["accuracy"])
    with pytest.raises(StepError, match="must not be chosen on the test rows"):
        evaluate(made, tmp_path / "c", threshold="f1", threshold_part="test")


def _with_test_labels_flipped(made: World, folder):
    from mldlc.artifacts.table import write_table
    from tests.step_harness import artifact

    table = Table(made.inputs["table"])
    label = pl.Series("label", np.where(made.codes == 2, 1 - made.label, made.label).astype(np.float32))
    (folder / "flipped").mkdir()
    frame = table.load().with_columns(label)
    write_table(folder / "flipped", [("p", frame)], table.columns, info=table.info)
    return made.inputs | {"table": artifact("Table", folder / "flipped")}


def test_bootstrap_interval_covers_the_value_and_shrinks(tmp_path):
    boot = {"samples": 100, "confidence": 0.95, "seed": 0}
    widths = []
    for rows in (1000, 16_000):
        found = report(evaluate(world(tmp_path / str(rows), "binary", rows), tmp_path / f"r{rows}", bootstrap=boot))
        low, high = found["intervals"]["parts"]["test"]["auroc"]
        assert low < found["parts"]["test"]["auroc"] < high
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.35)


@pytest.mark.parametrize(
    ("slices", "changes", "message", "hint"),
    [
        (option("slices", "columns", columns=["kidn"]), {}, "no column 'kidn'", "did you mean 'kind'?"),
        (option("slices", "columns", parts=["tset"]), {}, "no evaluated part 'tset'", "did you mean 'test'?"),
        (option("slices", "auto", metric="aurco"), {}, "no metric 'aurco'", "did you mean 'auroc'?"),
        (None, {"parts": ["vall"]}, "no part 'vall'", "did you mean 'val'?"),
        (None, {"torchmetrics": {"binary": ["cohen_kapa"]}}, "no binary metric", "did you mean 'cohen_kappa'?"),
        (None, {"torchmetrics": {"binary": ["roc"]}}, "gives no single number", "in the report already"),
    ],
)
def test_mistakes_are_named_with_the_nearest_name(tmp_path, slices, changes, message, hint):
    with pytest.raises(StepError, match=message) as caught:
        evaluate(world(tmp_path, "binary", rows=600), tmp_path / "run", slices, **changes)
    assert hint in caught.value.hint


def test_slices_need_the_cleaned_rows(tmp_path):
    made = world(tmp_path, "binary", rows=600)
    with pytest.raises(StepError, match="'raw' of this stage is not bound"):
        evaluate(made, tmp_path / "a", option("slices", "auto"), inputs={**made.inputs, "raw": None})
    other = world(tmp_path / "other", "binary", rows=601)
    with pytest.raises(StepError, match="601 rows and the prepared one has 600"):
        evaluate(made, tmp_path / "b", option("slices", "auto"), inputs={**made.inputs, "raw": other.inputs["raw"]})


def test_model_and_table_must_be_of_one_task(tmp_path):
    made, other = world(tmp_path / "a", "binary", rows=300), world(tmp_path / "b", "regression", rows=300)
    mixed = replace(made, inputs={**made.inputs, "model": other.inputs["model"]})
    with pytest.raises(StepError, match="needs a label of kind 'value'"):
        evaluate(mixed, tmp_path / "run")


def test_rows_that_a_model_learnt_count_by_what_it_told_before_or_not_at_all(tmp_path):
    """A card that says what was learnt: without what was told, a part that was learnt whole is left out."""
    made = world(tmp_path, "binary")
    split, rows = Split(made.inputs["split"]), np.flatnonzero(made.codes == 2)
    half = rows[: len(rows) // 2]
    known = {"parts": {"test": {"rows": len(half), "end": int(half[-1]) + 1}}}
    told = tmp_path / "told"
    told.mkdir()
    write_told(told, rows, np.full(len(rows), 0.75))

    def judged(name: str, learnt: dict, **more) -> dict:
        folder = tmp_path / f"model-{name}"
        folder.mkdir()
        card = made.inputs["model"].json("model.json") | {"learnt": learnt}
        write_json(folder / "model.json", card)
        (folder / "model.safetensors").write_bytes(made.inputs["model"].file("model.safetensors").read_bytes())
        inputs = made.inputs | {"model": artifact("Model", folder)} | more
        return report(evaluate(made, tmp_path / f"run-{name}", inputs=inputs))

    before = report(evaluate(made, tmp_path / "before"))["parts"]
    rest = judged("half", known)["parts"]
    assert rest["test"]["n"] == len(rows) - len(half) and rest["val"] == before["val"]
    whole = {"parts": {"test": {"rows": len(rows), "end": int(rows[-1]) + 1}}}
    assert set(judged("whole", whole)["parts"]) == {"train", "val"}
    start = evaluate(made, tmp_path / "start").outputs["metrics"]
    found = judged("told", whole, told=artifact("Table", told), start=start)
    share = float(made.label[rows].mean())
    assert found["parts"]["test"]["n"] == len(rows) and found["parts"]["test"]["accuracy"] == pytest.approx(share)
    assert found["start"]["parts"]["test"] == before["test"] and found["parts"]["train"] == before["train"]
    with pytest.raises(StepError, match="has learnt 9 rows of part 'test', of which there are"):
        judged("moved", {"parts": {"test": {"rows": 9, "end": split.codes().size}}})
