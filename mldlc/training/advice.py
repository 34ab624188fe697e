"""What the plan says beside a training: where its table would be held, and how long its last run waited. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mldlc.training.hold import budget, choose, shown

WORTH = 0.1  # share of the time of the steps from which waiting for data is worth a word


def advise(params: Mapping[str, Any], inputs: Mapping[str, int | None], last: Mapping[str, float]) -> str:
    """One line, or "". inputs: port -> bytes in the store, None where not known yet. last: of the kind's last run."""
    ingest = params["ingest"]
    streams = ingest["kind"] == "streaming"
    parts = [_held(ingest, inputs.get("table")) if streams else _too_large(inputs.get("table"))]
    waited = last.get("data_wait", 0.0)
    if waited >= WORTH:
        more = max(2, ingest["workers"] * 2) if streams else 0
        hint = f"try ingest.workers={more} or ingest.hold=memory" if streams else "try a larger ingest.batch_size"
        parts.append(f"the last run waited {waited:.0%} of its steps for data: {hint}")
    return "; ".join(part for part in parts if part)


def _held(ingest: Mapping[str, Any], size: int | None) -> str:
    if size is None and ingest["hold"] == "auto":
        return "ingest: in memory or from disk, known after prepare"
    where, why = choose(ingest["hold"], size or 0, budget(ingest["memory_gb"]))
    return f"ingest: {'in memory' if where == 'memory' else 'from disk'} ({why})"


def _too_large(size: int | None) -> str:
    limit = budget(None)
    if size is None or size <= limit:
        return ""
    return f"its table ({shown(size)}) may not fit into memory ({shown(limit)}): ingest=auto reads it from disk"
