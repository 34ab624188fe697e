"""Some rows of one part, held to be perturbed: what the model's metric is on them, and how much a change costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mldlc.evaluation.scoring import Study
from mldlc.plan.context import StepError

Perturb = Callable[[np.ndarray, np.ndarray, np.random.Generator], None]


@dataclass(frozen=True)
class Probe:
    """Rows of a study with the value of `metric` on them as they are. rows: ascending row numbers."""

    study: Study
    rows: np.ndarray
    metric: str
    batch_size: int
    value: float

    def lost(self, perturb: Perturb, seeds: list[int]) -> dict[str, Any]:
        """Mean and standard deviation of the loss of metric, positive when worse, over one perturbed copy a seed.

        perturb: changes numeric (n, F) and categorical (n, K) in place.
        """
        drops = []
        for seed in seeds:
            numeric, categorical = self.study.inputs(self.rows)
            perturb(numeric, categorical, np.random.default_rng(seed))
            value = _value(self.study, self.rows, self.metric, numeric, categorical, self.batch_size)
            drops.append(self.study.task.worse_by(self.metric, value, self.value))
        return {"drop": float(np.mean(drops)), "std": float(np.std(drops))}


def make_probe(study: Study, cfg: Any, group: str) -> Probe:
    """The probe that a study's config asks for: its part, rows, seed, metric and batch_size."""
    rows = study.drawn(cfg.part, cfg.rows, cfg.seed, f"{group}.part")
    metric = study.task.metric(cfg.metric, f"{group}.metric")
    return Probe(study, rows, metric, cfg.batch_size, _value(study, rows, metric, *study.inputs(rows), cfg.batch_size))


def _value(
    study: Study, rows: np.ndarray, metric: str, numeric: np.ndarray, categorical: np.ndarray, batch_size: int
) -> float:
    sample = study.sample(rows, study.predict(numeric, categorical, batch_size))
    value = study.task.measure(sample)[metric]
    if value is None:
        raise StepError(
            f"metric {metric!r} is undefined on the {len(sample)} labelled rows that were drawn",
            hint="choose another part or metric, or more rows",
        )
    return value


def columns(study: Study) -> list[tuple[str, int, str]]:
    """Every input of the model: ("numeric" or "categorical", column in that array, name)."""
    numeric = [("numeric", i, name) for i, name in enumerate(study.numeric_names)]
    return numeric + [("categorical", i, item["name"]) for i, item in enumerate(study.categorical_inputs)]


def permuted(kind: str, column: int) -> Perturb:
    """Permutes one input among the rows."""

    def perturb(numeric: np.ndarray, categorical: np.ndarray, rng: np.random.Generator) -> None:
        values = numeric if kind == "numeric" else categorical
        values[:, column] = rng.permutation(values[:, column])

    return perturb


def held(kind: str, column: int, value: float) -> Perturb:
    """Sets one input to the same value in every row."""

    def perturb(numeric: np.ndarray, categorical: np.ndarray, rng: np.random.Generator) -> None:
        values = numeric if kind == "numeric" else categorical
        values[:, column] = value

    return perturb


@dataclass(frozen=True)
class Reference:
    """Typical inputs of the training rows: mean and standard deviation a numeric column, most frequent codes."""

    mean: np.ndarray
    sd: np.ndarray
    mode: np.ndarray


def reference(study: Study) -> Reference:
    """The reference of the train part, or of all rows where the split has none."""
    mask = study.codes == study.names.index("train") if "train" in study.names else np.ones(len(study.codes), bool)
    numeric, categorical = study.tensors.numeric[mask], study.tensors.categorical[mask]
    modes = [np.bincount(column).argmax() if len(column) else 0 for column in categorical.T]
    if not len(numeric):
        return Reference(np.zeros(numeric.shape[1]), np.ones(numeric.shape[1]), np.array(modes, np.int32))
    mean = np.nanmean(numeric, axis=0, dtype=np.float64)
    return Reference(mean, np.nanstd(numeric, axis=0, dtype=np.float64), np.array(modes, np.int32))
