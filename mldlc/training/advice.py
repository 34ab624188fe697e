"""What the plan says beside a training, and picks: where its table is held, how many threads read it ahead. Light.

The last run counts: one that waited long for data is given a thread more.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mldlc.training.hold import budget, choose, shown

WORTH = 0.1  # share of the time of the steps from which waiting for data is worth a word


def advise(
    params: Mapping[str, Any], inputs: Mapping[str, int | None], last: Mapping[str, float]
) -> tuple[str, dict[str, dict[str, Any]]]:
    """(one line or "", values that the plan sets: group -> key -> value).

    inputs: port -> bytes in the store, None where not known yet. last: of the kind's last run.
    """
    ingest, size = params["ingest"], inputs.get("table")
    waited = last.get("data_wait", 0.0)
    told = f"the last run waited {waited:.0%} of its steps for data" if waited >= WORTH else ""
    if ingest["kind"] != "streaming":
        return _line(_too_large(size), told and f"{told}: try a larger ingest.batch_size"), {}
    if ingest["workers"] is not None:
        return _line(_held(ingest, size), told and f"{told}: try ingest.workers=null or ingest.hold=memory"), {}
    workers = _workers(last)
    reads = f"{workers} threads read ahead" if workers > 1 else ""
    return _line(_held(ingest, size), ": ".join(filter(None, (reads, told)))), {"ingest": {"workers": workers}}


def _workers(last: Mapping[str, float]) -> int:
    """As many as in the last run, and one more where it waited and there are cores."""
    before = int(last.get("workers", 0)) or 1
    more = last.get("data_wait", 0.0) >= WORTH and before < (os.cpu_count() or 1)
    return before + more


def _line(*parts: str) -> str:
    return "; ".join(filter(None, parts))


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
