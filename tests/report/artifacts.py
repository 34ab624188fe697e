"""Artifacts of a real run for the page's tests: Adult, profiled with Polars and modelled with scikit-learn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)  # fmt: skip
from sklearn.preprocessing import StandardScaler

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.table import write_json
from tests.step_harness import artifact

COLUMNS = (
    "age", "workclass", "fnlwgt", "education", "education_num", "marital_status", "occupation", "relationship", "race",
    "sex", "capital_gain", "capital_loss", "hours_per_week", "native_country", "income",
)  # fmt: skip
NUMERIC = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
PARTS = ("train", "val", "test")
BETTER = {"auroc": "higher", "average_precision": "higher", "accuracy": "higher", "f1": "higher", "log_loss": "lower",
          "brier": "lower"}  # fmt: skip


def adult(path: Path) -> pl.DataFrame:
    """The rows of adult.data with typed columns and a part."""
    text = path.read_text().strip().splitlines()
    frame = pl.DataFrame([row.split(", ") for row in text], schema=list(COLUMNS), orient="row")
    frame = frame.with_columns(pl.col(NUMERIC).cast(pl.Int64))
    frame = frame.with_columns(pl.when(pl.col(pl.String) != "?").then(pl.col(pl.String)).name.keep())
    part = np.random.default_rng(0).choice(PARTS, frame.height, p=(0.6, 0.2, 0.2))
    return frame.with_columns(part=pl.Series(part))


def save(folder: Path, kind: str, name: str, value: Any) -> Artifact:
    """A one-file JSON artifact."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / name, value)
    return artifact(kind, folder)


def table_profile(frame: pl.DataFrame, edges: Mapping[str, list[float]]) -> dict[str, Any]:
    """{rows, columns} in the profile's format."""
    columns: list[dict[str, Any]] = []
    for name in COLUMNS:
        series = frame[name]
        facts: dict[str, Any] = {
            "name": name, "dtype": str(series.dtype), "role": "label" if name == "income" else "feature",
            "count": series.len() - series.null_count(), "nulls": series.null_count(), "nans": 0,
            "distinct": series.drop_nulls().n_unique(),
        }  # fmt: skip
        if name in NUMERIC:
            counts, _ = np.histogram(series.to_numpy(), edges[name])
            facts |= {"mean": series.mean(), "std": series.std(), "min": series.min(), "max": series.max()}
            facts["quantiles"] = {str(q): series.quantile(q) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
            facts["histogram"] = {"edges": edges[name], "counts": counts.tolist()}
        else:
            top = series.drop_nulls().value_counts().sort(["count", name], descending=[True, False]).head(20)
            facts["top"] = [list(row) for row in top.rows()]
        columns.append(facts)
    return {"rows": frame.height, "columns": columns}


def profile(frame: pl.DataFrame) -> dict[str, Any]:
    """The whole table and each part, on the same histogram edges."""
    edges = {n: np.histogram_bin_edges(frame[n].to_numpy(), 40).tolist() for n in NUMERIC}
    parts = {part: table_profile(frame.filter(pl.col("part") == part), edges) for part in PARTS}
    return {"format": "mldlc.profile/1", **table_profile(frame, edges), "parts": parts}


class Fitted:
    """A linear classifier of income, trained epoch by epoch so that its history is real."""

    def __init__(self, frame: pl.DataFrame, epochs: int = 12) -> None:
        inputs = frame.select(pl.exclude("income", "part")).to_dummies(
            [c for c in COLUMNS if c not in NUMERIC and c != "income"]
        )
        self.names = inputs.columns
        self.part = frame["part"].to_numpy()
        self.label = (frame["income"] == ">50K").cast(pl.Int64).to_numpy()
        train = self.part == "train"
        matrix = inputs.to_numpy().astype(np.float64)
        self.x = StandardScaler().fit(matrix[train]).transform(matrix)
        self.model = SGDClassifier(loss="log_loss", alpha=1e-4, learning_rate="constant", eta0=3e-4, random_state=0)
        self.epochs: list[dict[str, Any]] = []
        for epoch in range(1, epochs + 1):
            self.model.partial_fit(self.x[train], self.label[train], classes=[0, 1])
            chance = self.model.predict_proba(self.x)[:, 1]
            losses = {p: log_loss(self.label[self.part == p], chance[self.part == p]) for p in PARTS}
            rows = self.part == "val"
            self.epochs.append({"epoch": epoch, "train_loss": losses["train"], "val_loss": losses["val"], "lr": 3e-4,
                                "val_auroc": float(roc_auc_score(self.label[rows], chance[rows]))})  # fmt: skip
        self.chance = chance

    def measure(self, rows: np.ndarray) -> dict[str, float | None]:
        """Metrics on some rows."""
        label, chance = self.label[rows], self.chance[rows]
        both = 0 < label.sum() < len(label)
        return {
            "auroc": float(roc_auc_score(label, chance)) if both else None,
            "average_precision": float(average_precision_score(label, chance)) if both else None,
            "accuracy": float(accuracy_score(label, chance >= 0.5)),
            "f1": float(f1_score(label, chance >= 0.5, zero_division=0)),
            "log_loss": float(log_loss(label, chance, labels=[0, 1])),
            "brier": float(brier_score_loss(label, chance)),
        }

    def curves(self, rows: np.ndarray) -> dict[str, Any]:
        """ROC, PR, calibration and confusion on some rows."""
        label, chance = self.label[rows], self.chance[rows]
        fpr, tpr, _ = roc_curve(label, chance)
        precision, recall, _ = precision_recall_curve(label, chance)
        observed, predicted = calibration_curve(label, chance, n_bins=15)
        counts = np.histogram(chance, 15, (0, 1))[0]
        return {
            "roc": np.column_stack([fpr, tpr])[np.linspace(0, len(fpr) - 1, 200).astype(int)].tolist(),
            "pr": np.column_stack([recall, precision])[np.linspace(0, len(recall) - 1, 200).astype(int)].tolist(),
            "calibration": [
                {"bin": i, "mean_predicted": p, "observed": o, "rows": int(n)}
                for i, (p, o, n) in enumerate(
                    zip(predicted.tolist(), observed.tolist(), counts[counts > 0], strict=True)
                )
            ],
            "confusion": {"labels": ["<=50K", ">50K"], "matrix": confusion_matrix(label, chance >= 0.5).tolist()},
        }


def metrics(frame: pl.DataFrame, fitted: Fitted) -> dict[str, Any]:
    """metrics.json of the classifier, with slices by every text column."""
    rows = {part: np.flatnonzero(fitted.part == part) for part in PARTS}
    parts = {part: fitted.measure(index) for part, index in rows.items()}
    slices = []
    for column in ("workclass", "education", "marital_status", "occupation", "race", "sex"):
        values = frame[column].fill_null("(null)").to_numpy()
        for value in sorted(set(values[rows["test"]])):
            index = rows["test"][values[rows["test"]] == value]
            if len(index) < 50:
                continue
            found = fitted.measure(index)
            delta = {k: None if v is None else v - parts["test"][k] for k, v in found.items()}  # type: ignore[operator]
            slices.append({"part": "test", "slice": f"{column}={value}", "column": column, "value": value,
                           "rows": len(index), "metrics": found, "delta": delta})  # fmt: skip
    share = fitted.label[rows["train"]].mean()
    base = {
        p: {
            "accuracy": float(1 - fitted.label[i].mean()),
            "auroc": 0.5,
            "average_precision": float(fitted.label[i].mean()),
            "f1": 0.0,
            "log_loss": float(log_loss(fitted.label[i], np.full(len(i), share))),
        }
        for p, i in rows.items()
    }
    return {
        "format": "mldlc.metrics/1", "task": "binary", "classes": ["<=50K", ">50K"], "better": BETTER,
        "primary": "auroc", "threshold": {"value": 0.5, "rule": "fixed"},
        "parts": {p: {"n": len(rows[p]), **parts[p]} for p in PARTS}, "slices": slices,
        "curves": {p: fitted.curves(rows[p]) for p in PARTS},
        "baseline": {"kind": "majority class", "prediction": float(share), "parts": base},
    }  # fmt: skip


def importance(fitted: Fitted) -> dict[str, Any]:
    """xai.json: permutation importance of the first inputs on 500 val rows."""
    rows = np.flatnonzero(fitted.part == "val")[:500]
    found = permutation_importance(fitted.model, fitted.x[rows], fitted.label[rows], n_repeats=2, random_state=0)
    order = np.argsort(-found.importances_mean, kind="stable")[:14]
    return {
        "format": "mldlc.xai/1", "kind": "permutation", "task": "binary", "part": "val", "metric": "accuracy",
        "rows": len(rows),
        "importance": [{"input": fitted.names[i], "kind": "numeric", "mean": float(found.importances_mean[i]),
                        "std": float(found.importances_std[i])} for i in order],
    }  # fmt: skip


def hexadecimal(text: str) -> str:
    """A digest for a name."""
    return hashlib.blake2b(text.encode(), digest_size=32).hexdigest()


WIRING: tuple[tuple[str, str, dict[str, str], tuple[str, ...]], ...] = (
    ("collect", "data.collect", {}, ("table",)),
    ("expect", "profile.expect", {"table": "collect.table"}, ("report", "table")),
    ("clean", "data.clean", {"table": "expect.table"}, ("table",)),
    ("split", "data.split", {"table": "clean.table"}, ("split",)),
    ("profile", "profile.profile", {"table": "clean.table", "split": "split.split"}, ("profile",)),
    ("select", "data.select", {"table": "clean.table", "split": "split.split"}, ("selection",)),
    ("prepare", "data.prepare", {"table": "clean.table", "split": "split.split", "selection": "select.selection"},
     ("table", "preprocessor")),
    ("train", "training.train", {"table": "prepare.table", "split": "split.split"}, ("model", "history")),
    ("evaluate", "evaluation.evaluate",
     {"model": "train.model", "table": "prepare.table", "split": "split.split", "raw": "clean.table"}, ("metrics",)),
    ("diagnose", "evaluation.diagnose",
     {"model": "train.model", "table": "prepare.table", "split": "split.split"}, ("report",)),
    ("robustness", "evaluation.robustness",
     {"model": "train.model", "table": "prepare.table", "split": "split.split"}, ("report",)),
    ("xai", "evaluation.xai",
     {"model": "train.model", "table": "prepare.table", "split": "split.split"}, ("report",)),
)  # fmt: skip
CONFIG: dict[str, dict[str, Any]] = {
    "collect": {"source": {"kind": "csv", "path": "adult.data", "separator": ",", "null_values": ["?"]}},
    "split": {"split": {"kind": "stratified", "seed": 0, "parts": {"train": 0.6, "val": 0.2, "test": 0.2}}},
    "prepare": {"prepare": {"numeric": {"impute": "median", "scale": "standard"}, "categorical": {"rare": 20}}},
    "train": {"model": {"kind": "mlp", "layers": [256, 128], "dropout": 0.1},
              "optimizer": {"kind": "adamw", "lr": 0.002},
              "trainer": {"max_epochs": 30, "precision": "32-true"}},
    "evaluate": {"evaluate": {"threshold": 0.5, "calibration_bins": 15}, "slices": {"kind": "auto", "worst": 20}},
}  # fmt: skip


def lineage() -> list[dict[str, Any]]:
    """The steps of the shipped order as the engine gives them."""
    steps = []
    for stage, kind, inputs, outputs in WIRING:
        bound = {}
        for port, source in inputs.items():
            step, _, output = source.partition(".")
            bound[port] = [{"step": step, "port": output, "digest": hexadecimal(f"out {source}")}]
        steps.append({
            "id": stage, "stage": stage, "kind": kind, "recipe": hexadecimal(f"recipe {stage}"),
            "key": hexadecimal(f"key {stage}"), "config": CONFIG.get(stage, {}), "inputs": bound,
            "outputs": {port: hexadecimal(f"out {stage}.{port}") for port in outputs},
        })  # fmt: skip
    return steps
