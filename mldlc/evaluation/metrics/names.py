"""The metrics by name, and which way is better. Light: a plan reads it too."""

from __future__ import annotations

BINARY = {
    "auroc": "higher",
    "average_precision": "higher",
    "accuracy": "higher",
    "f1": "higher",
    "precision": "higher",
    "recall": "higher",
    "log_loss": "lower",
    "brier": "lower",
    "ece": "lower",
}
MULTICLASS = {"accuracy": "higher", "macro_f1": "higher", "auroc": "higher", "log_loss": "lower"}
REGRESSION = {
    "r2": "higher",
    "rmse": "lower",
    "mae": "lower",
    "mape": "lower",
    "median_ae": "lower",
    "pearson": "higher",
}
LANGUAGE = dict.fromkeys(("nats_per_character", "bits_per_character", "nats_per_token", "perplexity"), "lower")
