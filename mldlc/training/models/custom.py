"""`model: custom`: the user's own module, found by its target; sizes that it asks for by name come from the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldlc.artifacts.target import load_target, parameters
from mldlc.training.config import CustomModel


def describe(cfg: CustomModel, sizes: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Target and constructor arguments of the model. sizes: n_numeric, cardinalities, in_features, out_features."""
    known = parameters(load_target(cfg.target, "model.target"))
    return cfg.target, {name: value for name, value in sizes.items() if name in known} | dict(cfg.args)
