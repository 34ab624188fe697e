"""Label fixes: the rule of confident learning by hand, injected wrong labels of Adult, and what must never change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.load import typed
from mldlc.artifacts.split import write_split
from mldlc.artifacts.tensors import load_tensors, tensor_frame, write_tensors
from mldlc.evaluation.benchmark import fit_linear, given
from mldlc.evaluation.confident import confident_joint, doubtful_classes, doubtful_numbers, limited
from mldlc.evaluation.spec import LABELS, OUT_OF_FOLD
from mldlc.evaluation.task import Task
from mldlc.plan.context import StepError
from tests.evaluation.study import option, world
from tests.shared_data import shared
from tests.step_harness import StepRun, artifact, run_step
from tests.training import tables

TASK = Task("binary", ("<=50K", ">50K"))


def scored(inputs: dict[str, Artifact], folder: Path, **changes: object) -> dict[str, Artifact]:
    """The inputs of LABELS: table and split with the scores of their train rows."""
    ports = {port: inputs[port] for port in ("table", "split")}
    chosen = option("labels", "drop")["scores"] | {"iterations": 30, "folds": 3, "rows": 1200, **changes}
    return {**ports, "scores": run_step(OUT_OF_FOLD, {"scores": chosen}, ports, folder).outputs["scores"]}


def fix(inputs: dict[str, Artifact], folder: Path, kind: str, **changes: object) -> StepRun:
    return run_step(LABELS, {"labels": option("labels", "drop", kind=kind, **changes)}, inputs, folder)


def report(run: StepRun) -> dict:
    return run.outputs["report"].json("labels.json")


def test_the_confident_joint_of_few_rows_is_what_the_paper_says():
    said = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9], [0.75, 0.25]])
    label = np.array([0, 0, 0, 1, 1, 1])
    joint = confident_joint(label, said)
    assert joint.thresholds == pytest.approx([0.6, 1.85 / 3])
    # rows 0, 1 reach class 0 and row 2 class 1; rows 3, 4 reach class 1 and row 5 class 0
    assert joint.counts.tolist() == [[2, 1], [1, 2]]
    assert joint.wrong.tolist() == [[0, 1], [1, 0]]
    for rule in ("class", "noise_rate", "both"):
        found, _ = doubtful_classes(label, said, rule)
        assert found.index.tolist() == [2, 5] and found.suggested.tolist() == [1, 0]
        assert found.doubt == pytest.approx([0.6, 0.5])


def test_a_row_that_reaches_no_threshold_is_not_counted_and_counts_are_scaled_to_the_class():
    said = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.1, 0.9], [0.05, 0.95], [0.2, 0.8]])
    label = np.array([0, 0, 0, 0, 1, 1])
    joint = confident_joint(label, said)  # thresholds 0.625 and 0.875: rows 2 and 5 reach neither
    assert joint.counts.tolist() == [[2, 1], [0, 1]]
    assert joint.wrong.tolist() == [[0, 1], [0, 0]]  # 4 rows x 1/3, rounded


def test_rules_of_three_classes_differ_as_they_should():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 3000)
    said = rng.dirichlet(np.ones(3), 3000) * 0.4 + 0.6 * np.eye(3)[truth]
    label = np.where(rng.random(3000) < 0.2, (truth + 1) % 3, truth)
    found = {
        rule: set(doubtful_classes(label, said, rule)[0].index.tolist()) for rule in ("class", "noise_rate", "both")
    }
    wrong = set(np.flatnonzero(label != truth).tolist())
    assert found["both"] == found["class"] & found["noise_rate"]
    for rows in found.values():
        assert len(rows & wrong) > 0.95 * len(wrong) and len(rows - wrong) < 0.05 * len(rows)


def test_of_no_class_more_than_half_goes():
    said = np.full((10, 2), [0.1, 0.9])
    label = np.array([0] * 4 + [1] * 6)
    found, _ = doubtful_classes(label, said, "class")
    assert len(found) == 3 and len(limited(found, label, 10)) == 2


def test_a_number_is_drawn_back_to_the_fence():
    said, label = np.zeros(101), np.linspace(-1, 1, 101)
    label[7], label[90] = 40.0, -3.0
    found, ends = doubtful_numbers(label, said, 1.5)
    assert ends == pytest.approx((-2, 2), rel=0.05)
    assert found.index.tolist() == [7, 90] and found.suggested.tolist() == [ends[1], ends[0]]
    assert found.doubt == pytest.approx([38, 1], rel=0.1)


@pytest.fixture(scope="module")
def adult(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Artifact], np.ndarray]:
    """Census rows in two partitions, of whose train labels a seventh is wrong; the numbers of those rows."""
    folder = tmp_path_factory.mktemp("adult")
    made = tables.adult(shared("adult.data"), folder / "true", rows=4000)
    true, codes = load_tensors(typed(made["table"])), typed(made["split"]).codes()
    train = np.flatnonzero(codes == 0)
    wrong = np.random.default_rng(1).choice(train, len(train) // 7, replace=False)
    label = true.label.copy()
    label[wrong] = 1 - label[wrong]
    cuts = [("a", slice(0, 2500)), ("b", slice(2500, None))]
    frames = ((name, tensor_frame(true.numeric[s], true.categorical[s], label[s])) for name, s in cuts)
    for name in ("table", "split"):
        (folder / "wrong" / name).mkdir(parents=True)
    write_tensors(folder / "wrong" / "table", frames, true.info)
    write_split(folder / "wrong" / "split", ("train", "val", "test"), [(name, codes[s]) for name, s in cuts])
    return {name: artifact(name.title(), folder / "wrong" / name) for name in ("table", "split")}, np.sort(wrong)


@pytest.fixture(scope="module")
def fixed(adult, tmp_path_factory: pytest.TempPathFactory) -> dict[str, StepRun]:
    """Every kind of fix of it; `again`: relabel a second time, from the scores on."""
    folder = tmp_path_factory.mktemp("fixed")
    scores = [scored(adult[0], folder / name) for name in "ab"]
    runs = {kind: fix(scores[0], folder / kind, kind, max_share=0.2) for kind in ("find", "drop", "relabel")}
    return runs | {"again": fix(scores[1], folder / "again", "relabel", max_share=0.2)}


def judged(table: Artifact, split: Artifact, by: Artifact) -> float:
    """Log loss on the val rows of `by` of a linear model that learnt the train rows of table and split."""
    learnt, codes = load_tensors(typed(table)), typed(split).codes()
    known = given(TASK, learnt, np.flatnonzero(codes == 0))
    model = fit_linear(*known, iterations=40, l2=1e-3)
    val, own = np.flatnonzero(codes == 1), load_tensors(typed(by))
    said = model.predict(own.numeric[val], own.categorical[val])
    return TASK.measure(TASK.sample(val, own.label[val], said))["log_loss"]


def test_injected_wrong_labels_are_found_and_the_model_gains(adult, fixed):
    inputs, wrong = adult
    codes = typed(inputs["split"]).codes()
    before = judged(inputs["table"], inputs["split"], inputs["table"])
    for kind in ("drop", "relabel"):
        table, split = (fixed[kind].outputs[port] for port in ("table", "split"))
        was, now = load_tensors(typed(inputs["table"])), load_tensors(typed(table))
        moved = np.flatnonzero(typed(split).codes() != codes if kind == "drop" else was.label != now.label)
        assert len(moved) == report(fixed[kind])["found"] == fixed[kind].summary[kind]
        hit = np.isin(moved, wrong).sum()
        assert hit / len(wrong) > 0.6, "recall"
        assert hit / len(moved) > 3 * len(wrong) / (codes == 0).sum(), "three times as many as by chance"
        if kind == "relabel":
            assert (now.label[moved] == 1 - was.label[moved]).all()
        assert judged(table, split, inputs["table"]) < before - 0.01


@pytest.mark.parametrize("kind", ["find", "drop", "relabel"])
def test_only_train_rows_change(adult, fixed, kind):
    inputs, run = adult[0], fixed[kind]
    was, now = (load_tensors(typed(ports["table"])) for ports in (inputs, run.outputs))
    before, after = (typed(ports["split"]) for ports in (inputs, run.outputs))
    held = before.codes() != 0
    assert (was.label[held] == now.label[held]).all() and (before.codes()[held] == after.codes()[held]).all()
    assert (was.numeric == now.numeric).all() and (was.categorical == now.categorical).all()
    assert (run.digest("table") == inputs["table"].digest) == (kind != "relabel")
    assert (run.digest("split") == inputs["split"].digest) == (kind != "drop")
    if kind == "drop":
        assert after.names == (*before.names, "doubtful") and after.counts["doubtful"] == report(run)["found"]


def test_twice_gives_the_same_bytes(fixed):
    for port in ("table", "split", "report"):
        assert fixed["relabel"].digest(port) == fixed["again"].digest(port)


def test_the_report_names_the_surest_rows_with_what_was_suggested(adult, fixed):
    found = report(fixed["find"])
    assert len(found["listed"]) == 100 < found["found"] <= found["named"]
    doubts = [item["doubt"] for item in found["listed"]]
    assert doubts == sorted(doubts, reverse=True)
    assert np.isin([item["row"] for item in found["listed"]], adult[1]).mean() > 0.8
    assert all({item["label"], item["suggested"]} == set(TASK.classes) for item in found["listed"])
    assert {(item["given"], item["likely"]) for item in found["classes"]} == {TASK.classes, TASK.classes[::-1]}
    assert found["out_of_fold"]["auroc"] > 0.7  # against labels of which a seventh is wrong
    json.dumps(found, allow_nan=False)


def test_a_share_holds_the_surest_back_from_the_rest(tmp_path):
    made = world(tmp_path, "binary", rows=600)
    inputs = scored(made.inputs, tmp_path / "scores")
    runs = [fix(inputs, tmp_path / str(share), "find", max_share=share) for share in (0.02, 0.5)]
    few, many = map(report, runs)
    assert few["found"] == int(0.02 * few["rows"]) < many["found"] == many["named"] == few["named"]
    assert few["listed"] == many["listed"][: few["found"]]


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_other_tasks(tmp_path, kind):
    made = world(tmp_path, kind, rows=1000)
    inputs = scored(made.inputs, tmp_path / "scores")
    run = fix(inputs, tmp_path / "drop", "drop", fence=1.0)
    moved = np.flatnonzero(typed(run.outputs["split"]).codes() != made.codes)
    assert len(moved) == report(run)["found"] > 0 and (made.codes[moved] == 0).all()
    run = fix(inputs, tmp_path / "relabel", "relabel", fence=1.0)
    now = load_tensors(typed(run.outputs["table"])).label
    assert sorted(np.flatnonzero(now != made.label)) == sorted(moved)
    assert run.digest("split") == made.inputs["split"].digest


def test_boosted_trees_may_score_the_rows(tmp_path):
    made = world(tmp_path, "binary", rows=1000)
    inputs = scored(made.inputs, tmp_path / "scores", folds=2, boosting={"rounds": 10, "min_leaf_rows": 5})
    found = report(fix(inputs, tmp_path / "run", "find"))
    assert found["found"] > 0 and found["out_of_fold"]["auroc"] > 0.7


def test_mistakes_are_named(tmp_path):
    made = world(tmp_path / "one", "binary", rows=40)
    with pytest.raises(StepError, match="train rows are too few for 50 folds") as caught:
        scored(made.inputs, tmp_path / "a", folds=50)
    assert caught.value.where == "labels.scores.folds"
    other = scored(world(tmp_path / "other", "binary", rows=60).inputs, tmp_path / "b")
    with pytest.raises(StepError, match="the scores are of other rows"):
        fix({**made.inputs, "scores": other["scores"]}, tmp_path / "c", "drop")
    write_split(
        tmp_path / "one" / "split", ("learn", "val", "test"), [("p0", made.codes[:20]), ("p1", made.codes[20:])]
    )
    with pytest.raises(StepError, match="no part 'train'"):
        scored({**made.inputs, "split": artifact("Split", tmp_path / "one" / "split")}, tmp_path / "d")
