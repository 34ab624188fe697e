"""What the plan says of a training and picks for it: where its table is held, how many threads read it ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mldlc.training import advice, hold

MB = 2**20


@dataclass
class Seen:
    """An outlook of given sizes and a last run."""

    sizes: dict[str, int | None]
    last: dict[str, float]

    def read(self, port: str, name: str) -> Any:
        raise AssertionError("a table is judged by its size")

    def ask(self, function: str, question: Mapping[str, Any]) -> dict[str, Any]:
        raise AssertionError("nothing is measured where a strategy is named")


def advise(groups: dict[str, Any], sizes: dict[str, int | None], last: dict[str, float]) -> tuple[str, Any]:
    """Line and picks of a plan whose trainer names its strategy."""
    found = advice.advise(groups | {"trainer": {"strategy": "single", "compile": False}}, Seen(sizes, last))
    return found.note, found.picks


def ingest(kind: str = "streaming", **keys: Any) -> dict[str, Any]:
    return {"ingest": {"kind": kind, "hold": "auto", "memory_gb": 0.5, "workers": 1} | keys}


def line(params: dict[str, Any], size: int | None = MB, **last: float) -> str:
    return advise(params, {"table": size}, last)[0]


def test_auto_is_decided_by_size_and_budget() -> None:
    assert line(ingest(), 100 * MB) == "ingest: in memory (100 MB fit 512 MB)"
    assert line(ingest(), 700 * MB) == "ingest: from disk (700 MB do not fit 512 MB)"
    assert line(ingest(), None) == "ingest: in memory or from disk, known after prepare"
    assert line(ingest(hold="disk")) == "ingest: from disk (ingest.hold=disk)"
    assert line(ingest("in_core")) == ""


def test_a_long_wait_is_told_with_what_may_help() -> None:
    assert line(ingest("in_core"), data_wait=0.05) == ""
    assert "waited 30% of its steps for data: try ingest.workers=null" in line(ingest(), data_wait=0.3)
    assert "try a larger ingest.batch_size" in line(ingest("in_core"), data_wait=0.3)


def test_threads_are_picked_by_the_last_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advice.os, "cpu_count", lambda: 3)

    def picked(**last: float) -> int:
        return int(advise(ingest(workers=None), {"table": MB}, last)[1]["ingest"]["workers"])

    assert picked() == 1 and picked(data_wait=0.05, workers=1) == 1
    assert picked(data_wait=0.2, workers=1) == 2 and picked(data_wait=0.2, workers=2) == 3
    assert picked(data_wait=0.01, workers=2) == 2, "what helped stays"
    assert picked(data_wait=0.9, workers=3) == 3, "no more than there are cores"
    told = line(ingest(workers=None), data_wait=0.2, workers=1.0)
    assert told.endswith("; 2 threads read ahead: the last run waited 20% of its steps for data")
    assert advise(ingest(workers=0), {"table": MB}, {"data_wait": 0.5})[1] == {}, "a number in the config stands"


def test_a_control_group_limits_what_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hold, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text(f"{60 * MB}\n")
    assert hold.free_memory() > 100 * MB
    (tmp_path / "memory.max").write_text(f"{100 * MB}\n")
    assert hold.free_memory() == 40 * MB and hold.budget(None) == 20 * MB
    assert "may not fit into memory (20 MB): ingest=auto" in line(ingest("in_core"), 30 * MB)


def test_columns_of_a_guard_that_are_no_inputs_are_told() -> None:
    """As soon as the prepared table is known."""
    table = {"info": {"categorical": [{"name": "sex"}, {"name": "race"}]}}

    class Known(Seen):
        def read(self, port: str, name: str) -> Any:
            return table if (port, name) == ("table", "manifest.json") else None

    class Unknown(Seen):
        def read(self, port: str, name: str) -> Any:
            return None

    def told(guard: dict[str, Any] | None, seen: type[Seen] = Known) -> list[str]:
        return [error.message for error in advice.advise_update({"update": {"guard": guard}}, seen({}, {})).errors]

    assert told({"columns": ["race", "sexx"]}) == ["there is no categorical input 'sexx'"]
    assert told({"columns": ["race"]}) == told({"columns": []}) == told(None) == told({"max_drop": 0.1}) == []
    assert told({"columns": ["sexx"]}, Unknown) == []
