"""The step `training.teach`: what teachers say about every row of a prepared table, kept once for all students."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mldlc.artifacts.lessons import write_lessons
from mldlc.artifacts.model import LoadedModel, load_model, members
from mldlc.artifacts.tensors import Tensors, load_tensors
from mldlc.plan.context import Context, StepError
from mldlc.training.fitting import check_fit
from mldlc.training.hidden import Tap

WHERE = "distill.teacher"


def run(ctx: Context, cfg: Any, inputs: Mapping[str, Any]) -> None:
    """Write port `lessons`; StepError for a teacher of other columns, classes or another preprocessor."""
    data = load_tensors(inputs["table"])
    teachers = {name: load_model(artifact) for name, artifact in members(inputs["teachers"]).items()}
    for name, model in teachers.items():
        check_fit(f"teacher '{name}'", model, data.info, WHERE)
    hidden_of = cfg.lessons.hidden
    if hidden_of is not None and len(teachers) > 1:
        raise StepError(
            f"a hidden layer is taken of one teacher, but there are {len(teachers)}: {', '.join(teachers)}",
            where="distill.lessons.hidden", hint="name one teacher, or use distill=ensemble without it",
        )  # fmt: skip
    said, hidden = [], None
    for number, (name, model) in enumerate(teachers.items()):
        tap = Tap(model.module, hidden_of, "distill.lessons.hidden", f"teacher '{name}'") if hidden_of else None
        outputs, hidden = _ask(model, data, cfg.lessons.batch_size, tap)
        if not bool(torch.isfinite(outputs).all()):
            raise StepError(f"teacher '{name}' says a value that is not finite", where=WHERE)
        said.append(outputs)
        ctx.progress(number + 1, len(teachers), name)
    kind = next(iter(teachers.values())).kind
    card = {"kind": kind, "classes": next(iter(teachers.values())).classes, "teachers": list(teachers)}
    write_lessons(ctx.out("lessons"), torch.stack(said, dim=1), hidden, card | {"hidden": hidden_of})
    ctx.summary({"rows": data.rows, "teachers": len(teachers)})


def _ask(model: LoadedModel, data: Tensors, batch_size: int, tap: Tap | None) -> tuple[Tensor, Tensor | None]:
    """(rows, k) outputs and (rows, width) of the hidden layer, float32."""
    outputs, hidden = [], []
    for raw in model.raws(data.numeric, data.categorical, batch_size):
        outputs.append(_said(raw, model).float())
        if tap is not None:
            hidden.append(tap.take("distill.lessons.hidden").float())
    if tap is not None:
        tap.close()
    return torch.cat(outputs), torch.cat(hidden) if hidden else None


def _said(raw: Tensor, model: LoadedModel) -> Tensor:
    """(B, k): one logit of two classes, k of more, the prediction in the label's unit of a number."""
    if model.kind == "regression":
        return model.meaning(raw).unsqueeze(1)
    if model.kind == "binary":
        return (raw[:, 1] - raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 2 else raw.reshape(len(raw))).unsqueeze(1)
    return raw
