"""Writes reports of numbers to equal bytes: floats at ten significant digits, undefined ones as null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mldlc.artifacts.table import write_json

DIGITS = 10


def rounded(value: Any) -> Any:
    """A tree of plain JSON values: floats at ten significant digits, NaN and infinity as None, arrays as lists."""
    if isinstance(value, Mapping):
        return {str(k): rounded(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return rounded(value.tolist())
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(f"{value:.{DIGITS}g}") + 0.0  # no negative zero
    return value


def write_report(path: Path, value: Mapping[str, Any]) -> dict[str, Any]:
    """Write a report as canonical JSON and give it as written."""
    report: dict[str, Any] = rounded(value)
    write_json(path, report)
    return report
