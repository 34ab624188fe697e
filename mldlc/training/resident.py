"""Rows that lie on the GPU that learns from them: a batch is cut there, instead of being gathered here and copied over.

Three tensors a batch, copied from memory that is not pinned, keep the host waiting as long as a step of a small network
takes (tests/bench/gpu_rates.py). Batches hold the same values either way, so it is placement. Light.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SHARE = 0.05  # of a device's memory: what rows may take of it unasked
ORDER = 8  # bytes a row: its place in the epoch


def stays(hold: str, size: int, memory: int) -> bool:
    """Whether rows of `size` bytes move to a device with `memory`. hold: see `InCore`."""
    return hold == "device" or (hold == "auto" and size <= SHARE * memory)


def size_of(about: Mapping[str, Any]) -> int:
    """Bytes of the rows of a question, see `mldlc.training.placing.question`: all numbers take four."""
    if "tokens" in about:
        return int(about["known"]) * (4 + ORDER)
    table = about["table"]
    columns = table["n_numeric"] + len(table["cardinalities"]) + 1 + bool(table["weight"])
    return int(about["known"]) * (4 * int(columns) + ORDER)
