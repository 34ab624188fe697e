"""What the plan says beside a training: where its table would be held, and what waiting for data cost last time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mldlc.training import hold
from mldlc.training.advice import advise

MB = 2**20


def ingest(kind: str = "streaming", **keys: Any) -> dict[str, Any]:
    return {"ingest": {"kind": kind, "hold": "auto", "memory_gb": 0.5, "workers": 1} | keys}


def test_auto_is_decided_by_size_and_budget() -> None:
    assert advise(ingest(), {"table": 100 * MB}, {}) == "ingest: in memory (100 MB fit 512 MB)"
    assert advise(ingest(), {"table": 700 * MB}, {}) == "ingest: from disk (700 MB do not fit 512 MB)"
    assert advise(ingest(), {"table": None}, {}) == "ingest: in memory or from disk, known after prepare"
    assert advise(ingest(hold="disk"), {"table": MB}, {}) == "ingest: from disk (ingest.hold=disk)"
    assert advise(ingest("in_core"), {"table": MB}, {}) == ""


def test_a_long_wait_is_told_with_what_may_help() -> None:
    assert advise(ingest("in_core"), {"table": MB}, {"data_wait": 0.05}) == ""
    assert "waited 30% of its steps for data: try ingest.workers=2" in advise(ingest(), {}, {"data_wait": 0.3})
    assert "try a larger ingest.batch_size" in advise(ingest("in_core"), {"table": MB}, {"data_wait": 0.3})


def test_a_control_group_limits_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{60 * MB}\n")
    assert hold.free_memory() > 100 * MB
    (tmp_path / "memory.max").write_text(f"{100 * MB}\n")
    assert hold.free_memory() == 40 * MB and hold.budget(None) == 20 * MB
    assert "may not fit into memory (20 MB): ingest=auto" in advise(ingest("in_core"), {"table": 30 * MB}, {})
