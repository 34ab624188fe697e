"""`objective: auto`: the usual objective of the label's kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mldlc.training.config import AutoObjective
from mldlc.training.objective import Objective
from mldlc.training.objectives import binary, language_model, multiclass, regression


def build(cfg: AutoObjective, label: Mapping[str, Any], train: np.ndarray) -> Objective:
    """Language modelling for tokens, regression for a value, binary for two classes, else multiclass."""
    if label["kind"] == "token":
        return language_model.build(cfg, label, train)
    if label["kind"] == "value":
        return regression.build(cfg, label, train)
    return (binary if len(label["classes"]) == 2 else multiclass).build(cfg, label, train)
