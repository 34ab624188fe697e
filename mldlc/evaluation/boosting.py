"""The boosting benchmark: scikit-learn's histogram gradient boosting on the same prepared inputs (extra `boost`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mldlc.evaluation.config import Boosting
from mldlc.evaluation.task import Task
from mldlc.plan.context import StepError

MOST_CODES = 255  # categories that it splits as such; a column with more is read as numbers


@dataclass(frozen=True)
class Boosted:
    """Fitted trees."""

    task: Task
    trees: Any

    @property
    def rounds(self) -> int:
        """Trees a class, after early stopping."""
        return int(self.trees.n_iter_)

    def predict(self, numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
        """(n,) probability of the second class or value, or (n, k) probabilities; float64."""
        from threadpoolctl import threadpool_limits

        x = _joined(numeric, categorical)
        with threadpool_limits(1):
            said = self.trees.predict(x) if self.task.kind == "regression" else self.trees.predict_proba(x)
        if self.task.kind == "regression":
            return np.asarray(said, np.float64)
        found = np.zeros((len(x), len(self.task.classes)))
        found[:, self.trees.classes_] = said  # a class without training rows keeps 0
        return found[:, 1] if self.task.kind == "binary" else found


def fit_boosting(
    task: Task,
    numeric: np.ndarray,
    categorical: np.ndarray,
    cardinalities: Sequence[int],
    label: np.ndarray,
    weight: np.ndarray | None,
    cfg: Boosting,
    where: str = "diagnose.boosting",
) -> Boosted:
    """Fit on labelled rows, with a tenth of them held back to stop early. One thread: equal sums, and threads of OpenMP
    wait for each other by spinning, which on a busy machine takes many times as long.
    """
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise StepError(
            "boosted trees need scikit-learn", where=where, hint=f"pip install 'mldlc[boost]', or set {where}=null",
        ) from error  # fmt: skip
    kind = HistGradientBoostingRegressor if task.kind == "regression" else HistGradientBoostingClassifier
    codes = [False] * numeric.shape[1] + [size <= MOST_CODES for size in cardinalities]
    trees = kind(
        max_iter=cfg.rounds, learning_rate=cfg.learning_rate, max_leaf_nodes=cfg.leaves,
        min_samples_leaf=cfg.min_leaf_rows, l2_regularization=cfg.l2, categorical_features=codes,
        early_stopping=len(label) >= 1000, validation_fraction=0.1, n_iter_no_change=cfg.patience,
        random_state=cfg.seed,
    )  # fmt: skip
    with threadpool_limits(1):
        trees.fit(_joined(numeric, categorical), label, sample_weight=weight)
    return Boosted(task, trees)


def _joined(numeric: np.ndarray, categorical: np.ndarray) -> np.ndarray:
    return np.concatenate([numeric, categorical.astype(np.float32)], axis=1)
