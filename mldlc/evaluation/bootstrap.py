"""Confidence intervals of metrics by the bootstrap (Efron, 1979): percentile intervals over resampled rows."""

from __future__ import annotations

import numpy as np

from mldlc.evaluation.task import Sample, Task


def intervals(task: Task, sample: Sample, samples: int, confidence: float, seed: int) -> dict[str, list[float] | None]:
    """Metric -> [low, high], None where fewer than two replicates define it.

    A replicate draws as many rows as there are, with replacement; it is carried as row counts, so nothing is copied
    and the one sort of the sample serves every replicate.
    """
    generator = np.random.default_rng(seed)
    found: dict[str, list[float]] = {name: [] for name in task.better}
    rows = len(sample)
    for _ in range(samples if rows else 0):
        count = np.bincount(generator.integers(0, rows, rows), minlength=rows).astype(np.float64)
        weight = count if sample.weight is None else count * sample.weight
        for name, value in task.measure(sample, weight).items():
            if value is not None:
                found[name].append(value)
    tail = (1 - confidence) / 2
    return {
        name: [float(v) for v in np.quantile(values, [tail, 1 - tail])] if len(values) > 1 else None
        for name, values in found.items()
    }
