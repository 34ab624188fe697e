"""The diagnosis: the models to beat, the gaps that say what to do next, and what moves the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldlc.report.numbers import words
from mldlc.report.sections.documents import document, is_number, rows, section
from mldlc.report.sections.facts import arranged

GAPS = ("avoidable_bias", "variance", "validation_gap", "over_linear", "over_boosting", "over_constant")
WORST = 10


def diagnose(artifact: Any) -> dict[str, Any] | None:
    """Charts and blocks of diagnose.json, as `arranged` gives them, and `advice`: sentences for the reader."""
    found = document(artifact, "diagnose.json")
    if not found or found.get("kind") == "none":
        return None
    gaps = section(found, "bias_variance")
    part = str(found.get("part") or "test")
    sensitivity = section(found, "sensitivity")
    shown: dict[str, Any] = {
        "gaps": {words(key): gaps[key] for key in ("metric", "human_level", *GAPS) if gaps.get(key) is not None},
        f"models_on_{part}": _models(section(found, "models"), part),
        "sensitivity_to_numeric_inputs": rows(sensitivity, "numeric"),
        "sensitivity_to_categorical_inputs": [
            {"input": item.get("input"), "spread": item.get("spread"), **_ends(rows(item, "values"))}
            for item in rows(sensitivity, "categorical")
        ],
        "error_by_tenth_of_prediction": rows(section(found, "residuals"), "by_decile"),
        "rows_with_the_largest_loss": rows(section(found, "residuals"), "worst")[:WORST],
    }
    result = arranged(shown)
    return result and {**result, "advice": [str(text) for text in gaps.get("advice") or []]}


def _models(models: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    """One row a model with its metrics on the part."""
    table = []
    for name, item in sorted(models.items(), key=_ours_first):
        kind = section(models, name).get("kind")
        label = f"{name} ({kind})" if kind else name
        metrics = section(section(item, "parts"), part)
        table.append({"name": label, **{k: v for k, v in metrics.items() if is_number(v)}})
    return table


def _ours_first(item: tuple[str, Any]) -> tuple[bool, str]:
    return item[0] != "model", item[0]


def _ends(values: list[dict[str, Any]]) -> dict[str, Any]:
    """The values with the lowest and the highest mean prediction."""
    known = [v for v in values if is_number(v.get("mean_prediction"))]
    if not known:
        return {}
    low, high = min(known, key=_prediction), max(known, key=_prediction)
    return {"lowest_at": low.get("value"), "lowest": low["mean_prediction"],
            "highest_at": high.get("value"), "highest": high["mean_prediction"]}  # fmt: skip


def _prediction(item: Mapping[str, Any]) -> float:
    return float(item["mean_prediction"])
