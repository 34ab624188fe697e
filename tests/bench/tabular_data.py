"""The table of the tabular benchmark: 1M x 30 by the recipe of scikit-learn's make_classification, as one Parquet file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

FEATURES, INFORMATIVE, REDUNDANT, CLUSTERS, CATEGORICAL, LEVELS = 30, 15, 2, 4, 2, 10


def write(path: Path, rows: int) -> Path:
    """28 float32 columns, two text columns of 10 levels, an int8 label; equal rows give equal bytes.

    Like `make_classification(rows, 30, n_informative=15)`: gaussian clusters about the corners of a hypercube, two a
    class, each with its own covariance; redundant columns are linear in them, the others noise; 1 % of the labels flip.
    """
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, CLUSTERS, rows)
    data = rng.standard_normal((rows, FEATURES), dtype=np.float32)
    corners = np.array([[1.0 if (c >> (j % 2)) & 1 else -1.0 for j in range(INFORMATIVE)] for c in range(CLUSTERS)])
    for number in range(CLUSTERS):
        mixing = rng.uniform(-1, 1, (INFORMATIVE, INFORMATIVE)).astype(np.float32)
        chosen = np.flatnonzero(cluster == number)
        data[chosen, :INFORMATIVE] = data[chosen, :INFORMATIVE] @ mixing + corners[number].astype(np.float32)
    linear = rng.uniform(-1, 1, (INFORMATIVE, REDUNDANT)).astype(np.float32)
    data[:, INFORMATIVE : INFORMATIVE + REDUNDANT] = data[:, :INFORMATIVE] @ linear
    label = ((cluster % 2) ^ (rng.random(rows) < 0.01)).astype(np.int8)
    columns = {f"x{number}": data[:, number] for number in range(FEATURES - CATEGORICAL)}
    levels = pl.Series([f"level {number}" for number in range(LEVELS)])
    for number in range(CATEGORICAL):
        values = data[:, number]  # informative, so that the categories carry some of the answer
        cuts = np.quantile(values[:100_000], np.linspace(0, 1, LEVELS + 1)[1:-1])
        columns[f"kind{number}"] = levels.gather(np.searchsorted(cuts, values))
    pl.DataFrame({**columns, "label": label}).write_parquet(path, compression="zstd", statistics=False)
    return path
