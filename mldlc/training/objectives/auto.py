"""`objective: auto`: the usual objective of the label's kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mldlc.training.config import AutoObjective
from mldlc.training.objective import Objective
from mldlc.training.objectives import binary, multiclass, regression


def build(cfg: AutoObjective, label: Mapping[str, Any], train: np.ndarray) -> Objective:
    """Binary for two classes, multiclass for any other number of them, regression for a value."""
    if label["kind"] == "value":
        return regression.build(cfg, label, train)
    return (binary if len(label["classes"]) == 2 else multiclass).build(cfg, label, train)
