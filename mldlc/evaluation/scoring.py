"""Loads model, table and split of a study, checks that they fit each other, and predicts rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mldlc.artifacts.model import LoadedModel, load_model
from mldlc.artifacts.split import Split
from mldlc.artifacts.table import Table
from mldlc.artifacts.tensors import Tensors, load_tensors
from mldlc.artifacts.told import learnt_rows
from mldlc.evaluation.task import Sample, Task, task_of
from mldlc.plan.context import StepError
from mldlc.plan.diagnostic import did_you_mean

NO_PART = 255


@dataclass(frozen=True)
class Study:
    """A model beside the rows it is studied on. codes: (rows,) uint8 part of every row; names: of the parts.

    learnt: ascending numbers of the rows that the model has learnt along a stream. They are no evidence about it and
    belong to no part: their code is NO_PART.
    """

    model: LoadedModel
    tensors: Tensors
    codes: np.ndarray
    names: tuple[str, ...]
    task: Task
    learnt: np.ndarray

    def rows(self, part: str, where: str) -> np.ndarray:
        """Row numbers of a part, ascending; StepError with the nearest name when the split has no such part."""
        if part not in self.names:
            hint = did_you_mean(part, self.names) or "name one of them"
            raise StepError(f"the split has no part {part!r}; it has {', '.join(self.names)}", where=where, hint=hint)
        return np.flatnonzero(self.codes == self.names.index(part))

    def drawn(self, part: str, limit: int, seed: int, where: str) -> np.ndarray:
        """At most `limit` rows of a part, ascending, drawn without replacement with `seed`."""
        rows = self.rows(part, where)
        if not len(rows):
            if len(self.learnt):
                raise StepError(
                    f"the model has learnt all rows of part {part!r}", where=where, hint="judge it on another part: val"
                )
            raise StepError(f"part {part!r} of the split is empty", where=where)
        if len(rows) <= limit:
            return rows
        return np.sort(np.random.default_rng(seed).choice(rows, limit, replace=False))

    def inputs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numeric and categorical inputs of these rows (copies)."""
        return self.tensors.numeric[rows], self.tensors.categorical[rows]

    def sample(self, rows: np.ndarray, prediction: np.ndarray) -> Sample:
        """A sample of these rows with their predictions."""
        weight = self.tensors.weight
        return self.task.sample(rows, self.tensors.label[rows], prediction, None if weight is None else weight[rows])

    def predict(self, numeric: np.ndarray, categorical: np.ndarray, batch_size: int) -> np.ndarray:
        """The model's predictions, checked to be finite and of the shape that the task needs."""
        found = np.asarray(self.model.predict(numeric, categorical, batch_size=batch_size))
        wanted = (len(numeric), len(self.task.classes)) if self.task.kind == "multiclass" else (len(numeric),)
        if found.shape != wanted:
            raise StepError(f"the model predicts an array of shape {found.shape}, not {wanted}")
        if not np.isfinite(found).all():
            bad = int(np.flatnonzero(~np.isfinite(found).reshape(len(found), -1).all(1))[0])
            raise StepError(
                f"the model predicts a value that is not finite, first in row {bad} of the batch",
                hint="the training diverged, or prepare lets missing values through",
            )
        return found

    @property
    def numeric_names(self) -> list[str]:
        """Names of the numeric inputs, in column order."""
        return list(self.tensors.info["numeric"])

    @property
    def categorical_inputs(self) -> Sequence[Mapping[str, Any]]:
        """{name, cardinality, values} of the categorical inputs, in column order."""
        return self.tensors.info["categorical"]


def load_rows(table: Table, split: Split) -> tuple[Tensors, np.ndarray]:
    """The arrays of a prepared table and the part of every row; StepError when they are not of the same rows."""
    try:
        tensors = load_tensors(table)
    except ValueError as error:
        raise StepError(str(error), hint="bind input 'table' to the output of a prepare stage") from error
    codes = split.codes()
    if len(codes) != len(tensors.label):
        raise StepError(
            f"the split has {len(codes)} rows and the table has {len(tensors.label)}",
            hint="bind the split and the prepared table of the same stage",
        )
    return tensors, codes


def load_study(inputs: Mapping[str, Any], bins: int = 15) -> Study:
    """Load the ports model, table and split; StepError when they are not of the same rows or of the same task."""
    tensors, codes = load_rows(inputs["table"], inputs["split"])
    model = load_model(inputs["model"])
    task = task_of(model.kind, model.classes, bins)
    wanted = "value" if task.kind == "regression" else "class"
    if tensors.info["label"]["kind"] != wanted:
        raise StepError(
            f"a {task.kind} model needs a label of kind {wanted!r}; label {tensors.info['label']['name']!r} of the "
            f"table is of kind {tensors.info['label']['kind']!r}"
        )
    learnt = learnt_rows(model.card, inputs["split"])
    if len(learnt):
        codes = codes.copy()
        codes[learnt] = NO_PART
    return Study(model, tensors, codes, tuple(inputs["split"].names), task, learnt)
