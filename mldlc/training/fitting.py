"""Whether a model fits a prepared table: the same inputs behind the same preprocessor, the same label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mldlc.artifacts.model import LoadedModel
from mldlc.plan.context import StepError


def check_fit(name: str, model: LoadedModel, info: Mapping[str, Any], where: str) -> None:
    """StepError unless the model reads exactly the inputs of a table with this `info`, and tells its label."""
    features, label = model.card["features"], info["label"]
    if model.kind not in ("binary", "multiclass", "regression"):
        raise StepError(f"{name} is a {model.kind} model which reads no table", where=where)
    wanted = "value" if model.kind == "regression" else "class"
    if label["kind"] != wanted:
        raise StepError(
            f"{name} is a {model.kind} model, but label '{label['name']}' is a {label['kind']}", where=where
        )
    if wanted == "class" and model.classes != list(label["classes"]):
        raise StepError(
            f"{name} knows the classes {_few(model.classes)}, the label has {_few(label['classes'])}",
            where=where, hint="it must have learnt the same label",
        )  # fmt: skip
    for block in ("numeric", "categorical"):
        theirs, ours = (_columns(item.get(block, ())) for item in (features, info))
        if theirs != ours:
            raise StepError(
                f"{name} reads other {block} columns: {_difference(theirs, ours)}", where=where,
                hint="give it the table that it was trained on: equal source, clean, select and prepare",
            )  # fmt: skip
    if features.get("preprocessor", info.get("preprocessor")) != info.get("preprocessor"):
        raise StepError(
            f"{name} was trained behind another preprocessor: equal columns, but other values in them",
            where=where, hint="keep source, split and prepare as they were for that model, or train one in this plan",
        )  # fmt: skip


def _columns(block: Sequence[Any]) -> list[tuple[str, Any]]:
    return [(item["name"], item["cardinality"]) if isinstance(item, Mapping) else (item, None) for item in block]


def _difference(theirs: list[tuple[str, Any]], ours: list[tuple[str, Any]]) -> str:
    names, known = [name for name, _ in theirs], [name for name, _ in ours]
    more, less = [n for n in names if n not in known], [n for n in known if n not in names]
    if more or less:
        return "; ".join(
            text
            for text in (f"it wants {_few(more)}" if more else "", f"it lacks {_few(less)}" if less else "")
            if text
        )
    if names != known:
        return f"in another order, {_few(names)}"
    name, size, own = next((n, a, b) for (n, a), (_, b) in zip(theirs, ours, strict=True) if a != b)
    return f"'{name}' has {size} categories there and {own} here"


def _few(values: Sequence[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:8])
    return shown + (f", ... ({len(values)} in all)" if len(values) > 8 else "")
