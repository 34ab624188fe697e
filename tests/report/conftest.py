"""One rendered page of real Adult artifacts, shared by the page's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mldlc.report.spec import REPORT
from tests.report import artifacts
from tests.shared_data import shared
from tests.step_harness import StepRun, run_step

PROJECT = {"name": "adult", "title": "Adult census income", "problem": "Who earns more than $50,000 a year?"}
Inputs = dict[str, Any]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    """An artifact for every port of the report."""
    root = tmp_path_factory.mktemp("artifacts")
    frame = artifacts.adult(shared("adult.data"))
    fitted = artifacts.Fitted(frame)
    best = min(fitted.epochs, key=lambda row: row["val_loss"])["epoch"]
    documents: dict[str, tuple[str, str, dict[str, Any]]] = {
        "profile": ("Profile", "summary.json", artifacts.profile(frame)),
        "metrics": ("Metrics", "metrics.json", artifacts.metrics(frame, fitted)),
        "history": (
            "Metrics", "history.json",
            {"format": "mldlc.history/1", "epochs": fitted.epochs, "best_epoch": best, "monitor": "val_loss",
             "stopped": "early"},
        ),
        "model": (
            "Model", "model.json",
            {"format": "mldlc.model/1", "target": "sklearn.linear_model:SGDClassifier", "args": {"alpha": 1e-4},
             "objective": {"kind": "binary", "classes": ["<=50K", ">50K"]}, "parameters": len(fitted.names) + 1},
        ),
        "expectations": (
            "Expectations", "report.json",
            {"rows": 32561, "violated": 1, "quarantined": 0, "findings": [
                {"rule": "age.min", "column": "age", "severity": "error", "violated": False, "allowed": ">= 16",
                 "found": "17"},
                {"rule": "hours_per_week.max", "column": "hours_per_week", "severity": "warning", "violated": True,
                 "allowed": "<= 98", "checked": 32561, "bad": 85, "share": 85 / 32561,
                 "examples": [{"row": 935, "value": 99}]}]},
        ),
        "selection": ("Decision", "selection.json", {"kept": ["age", "sex"], "dropped": ["fnlwgt"]}),
        "labels": ("Metrics", "labels.json", MENDED),
        "diagnose": ("Metrics", "diagnose.json", DIAGNOSIS),
        "robustness": (
            "Metrics", "robustness.json",
            {"kind": "standard", "metric": "auroc", "noise": [{"sd": 0.1, "drop": 0.002}, {"sd": 1.0, "drop": 0.11}]},
        ),
        "xai": ("Metrics", "xai.json", artifacts.importance(fitted)),
        "decision": ("Decision", "decision.json", {"decision": "approve", "why": "inside the bounds"}),
        "distillation": ("Metrics", "distillation.json", DISTILLED),
        "timing": (
            "Metrics", "timing.json",
            {"models": {n: {"seconds_per_row": 1e-6, "seconds_one_row": 1e-4} for n in DISTILLED["models"]}},
        ),
    }  # fmt: skip
    made: Inputs = {port: artifacts.save(root / port, *item) for port, item in documents.items()}
    learners = {"online": 0.8, "monthly": 0.75}
    return made | {
        "updates": {
            name: artifacts.save(root / name, "Metrics", "metrics.json", streamed(v)) for name, v in learners.items()
        }
    }


MENDED = {
    "kind": "drop", "task": "binary", "rule": "noise_rate", "rows": 22793, "named": 1999, "found": 1139, "share": 0.05,
    "thresholds": {"<=50K": 0.84, ">50K": 0.61}, "out_of_fold": {"auroc": 0.905, "n": 22793},
    "classes": [{"given": "<=50K", "likely": ">50K", "rows": 17304, "expected": 1210, "found": 700}],
    "listed": [{"row": 4711, "label": ">50K", "suggested": "<=50K", "doubt": 0.98}],
}  # fmt: skip


def streamed(score: float) -> dict[str, Any]:
    """metrics.json of an update along a stream of 40 rows."""
    parts = {"stream": {"n": 40, "accuracy": score}, "frozen": {"n": 40, "accuracy": 0.7}}
    curve = {"updated": [score - 0.1, score + 0.1], "frozen": [0.7, 0.7]}
    return {
        "parts": parts, "updates": {"kind": "online", "batches": 4, "events": [{"what": "rollback", "batch": 3}]},
        "prequential": {"metric": "accuracy", "ends": [20, 40], "learners": curve},
    }  # fmt: skip


DISTILLED = {
    "metric": "auroc", "part": "test", "rows": 6512, "samples": 200, "confidence": 0.95, "teacher": "teacher",
    "gain": {"value": 0.0024, "interval": [0.0008, 0.0041]}, "kept": {"value": 0.992, "interval": [0.989, 0.995]},
    "size": 0.033,
    "models": {
        name: {"value": value, "interval": [value - 0.01, value + 0.01], "parameters": count, "bytes": 8 * count}
        for name, value, count in (("teacher", 0.9175, 33065), ("student", 0.9101, 1077), ("twin", 0.9077, 1077))
    },
}  # fmt: skip


DIAGNOSIS = {
    "kind": "standard",
    "part": "test",
    "models": {
        "model": {"parts": {"test": {"auroc": 0.9}}},
        "linear": {"kind": "logistic", "parts": {"test": {"auroc": 0.88}}},
    },
    "bias_variance": {"metric": "auroc", "variance": 0.003, "over_linear": 0.02, "advice": ["overfits: try more data"]},
    "sensitivity": {
        "numeric": [{"input": "age", "sd": 13.6, "mean_absolute_change": 0.04}],
        "categorical": [
            {"input": "sex", "spread": 0.1, "values": [{"value": "Male", "mean_prediction": 0.3},
                                                       {"value": "Female", "mean_prediction": 0.2}]},
        ],
    },
    "residuals": {"worst": [{"row": 7, "label": ">50K", "prediction": 0.01, "loss": 4.6}], "by_decile": []},
}  # fmt: skip


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., StepRun]:
    """Runs the report step on some inputs: `render(inputs, lineage=..., project=...)`."""

    def run(given: Inputs, *, lineage: Any = (), project: dict[str, Any] = PROJECT) -> StepRun:
        return run_step(REPORT, {"project": project}, given, tmp_path_factory.mktemp("report"), lineage=lineage)

    return run


@pytest.fixture(scope="session")
def full(inputs: Inputs, render: Callable[..., StepRun]) -> StepRun:
    """The page with every input."""
    return render(inputs, lineage=artifacts.lineage())


def page_of(run: StepRun) -> Path:
    """The file of a rendered page."""
    return run.outputs["report"].file("report.html")
