"""Real census rows: a logistic model of scikit-learn, measured by our functions and by scikit-learn's own."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mldlc.evaluation.curves import curves
from mldlc.evaluation.cuts import cut
from mldlc.evaluation.slices import grouped
from mldlc.evaluation.task import Task
from tests.shared_data import shared

NUMERIC = ["age", "fnlwgt", "education_num", "gain", "loss", "hours"]
NAMES = ["age", "workclass", "fnlwgt", "education", "education_num", "marital", "occupation", "relationship", "race",
         "sex", "gain", "loss", "hours", "country", "income"]  # fmt: skip


@pytest.fixture(scope="module")
def adult() -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    """Held-out rows, their labels and the probabilities of a logistic regression fitted on the others."""
    frame = pl.read_csv(shared("adult.data"), has_header=False, new_columns=NAMES)
    frame = frame.with_columns(pl.col(pl.String).str.strip_chars()).with_columns(pl.col(NUMERIC).cast(pl.Float64))
    label = (frame["income"] == ">50K").to_numpy().astype(np.int64)
    held = np.random.default_rng(0).random(len(label)) < 0.3
    words = [n for n in NAMES[:-1] if n not in NUMERIC]
    both = np.hstack([frame[NUMERIC].to_numpy().astype(object), frame[words].to_numpy().astype(object)])
    model = make_pipeline(
        make_column_transformer(
            (StandardScaler(), list(range(len(NUMERIC)))),
            (OneHotEncoder(handle_unknown="ignore"), list(range(len(NUMERIC), both.shape[1]))),
        ),
        LogisticRegression(max_iter=200),
    )
    model.fit(both[~held], label[~held])
    return frame.filter(pl.Series(held)), label[held], model.predict_proba(both[held])[:, 1]


def test_metrics_equal_sklearn(adult):
    _, label, probability = adult
    task = Task("binary", ("<=50K", ">50K"))
    found = task.measure(task.sample(np.arange(len(label)), label, probability))
    called = probability >= 0.5
    assert found["auroc"] == pytest.approx(sk.roc_auc_score(label, probability), abs=1e-12)
    assert found["auroc"] > 0.89  # a logistic regression's known level on this file
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(label, probability), abs=1e-12)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(label, called))
    assert found["f1"] == pytest.approx(sk.f1_score(label, called))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(label, probability))
    assert found["log_loss"] == pytest.approx(sk.log_loss(label, probability), rel=1e-6)
    weight = adult[0]["fnlwgt"].to_numpy()
    weighed = task.measure(task.sample(np.arange(len(label)), label, probability, weight))
    assert weighed["auroc"] == pytest.approx(sk.roc_auc_score(label, probability, sample_weight=weight))


def test_every_slice_of_every_column_equals_sklearn(adult):
    frame, label, probability = adult
    task = Task("binary", ("<=50K", ">50K"))
    sample = task.sample(np.arange(len(label)), label, probability)
    checked = 0
    for column in ("sex", "education", "age", "gain", "country"):
        one = cut(frame[column], bins=5, max_values=10)
        for _, index in grouped(one.codes[sample.rows], len(one.values)):
            part = sample.take(index)
            found = task.measure(part)
            if 0 < part.label.sum() < len(part):
                assert found["auroc"] == pytest.approx(sk.roc_auc_score(label[part.rows], probability[part.rows]))
                checked += 1
            else:
                assert found["auroc"] is None
    assert checked > 20


def test_the_zeros_of_a_sparse_column_are_a_slice_of_their_own(adult):
    gain = adult[0]["gain"]
    one = cut(gain, bins=5, max_values=10)
    assert one.values[0].startswith("[0, ")
    assert (one.codes == 0).sum() == (gain == 0).sum()
    counts = np.bincount(one.codes)
    assert len(counts) >= 4 and counts.min() > 20


def test_confusion_and_calibration_count_every_row(adult):
    _, label, probability = adult
    task = Task("binary", ("<=50K", ">50K"))
    found = curves(task, task.sample(np.arange(len(label)), label, probability), 200)
    assert found["confusion"]["matrix"].tolist() == sk.confusion_matrix(label, probability >= 0.5).tolist()
    assert sum(item["rows"] for item in found["calibration"]) == len(label)
