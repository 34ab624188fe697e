"""The gate before an update: the clock, new rows, bounds, and what can be told before everything is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from mldlc.artifacts.split import write_split
from mldlc.plan.context import NotDue, StepError
from mldlc.scope.config import When
from mldlc.scope.due import foretell, judge
from mldlc.scope.spec import DUE, ticks, when_text
from tests.step_harness import artifact, run_step, validated

NONE: dict[str, Any] = {"schedule": None, "new_rows": None, "bounds": {}}
LEARNT = {"parts": {"test": {"rows": 200, "end": 900}}, "tick": "2026-11-16T00:00Z"}
SPLIT = {"counts": {"train": 600, "val": 100, "test": 250, "later": 40}}
METRICS = {"parts": {"test": {"accuracy": 0.75}}}
OLD, NOW = "2026-11-16T00:00Z", "2026-11-23T00:00Z"


def told(tick: str = "", card: Any = None, split: Any = SPLIT, parts: Any = ("test",), **when: Any) -> Any:
    documents = {"start": {"learnt": LEARNT} if card is None else card, "split": split, "metrics": METRICS}
    return judge(NONE | when, list(parts) if parts != "all" else parts, tick, lambda port, name: documents[port])


def test_any_new_row_where_nothing_is_asked() -> None:
    assert told() == (True, "due: 50 new rows")
    assert told(parts="all") == (True, "due: 90 new rows")  # of `later` it has learnt none
    assert told(card={}) == (True, "due: 250 new rows")  # it never went on along a stream
    assert told(split={"counts": {"train": 600, "test": 200}}) == (False, "not due: no new rows")


def test_rows_clock_and_bounds_each_ask() -> None:
    assert told(new_rows=50) == (True, "due: 50 new rows of 50")
    assert told(new_rows=51) == (False, "not due: 50 new rows of 51")
    assert told(NOW, schedule="7d") == (True, f"due: scheduled for {NOW}")
    assert told(OLD, schedule="7d") == (False, f"not due: updated for {OLD}, next at {NOW}")
    assert told(OLD, schedule="7d", new_rows=50)[0] and told(NOW, schedule="7d", new_rows=51)[0]
    assert told(bounds={"test": {"accuracy": {"min": 0.8}}}) == (True, "due: test.accuracy is 0.75, wanted >= 0.8")
    assert told(bounds={"test": {"accuracy": {"min": 0.7}}}) == (False, "not due: test.accuracy holds")
    assert told(NOW, split={"counts": {"test": 200}}, schedule="7d") == (False, "not due: no new rows")


def test_the_plan_tells_what_it_knows() -> None:
    def known(*ports: str, tick: str = "", **when: Any) -> bool | None:
        documents = {"start": {"learnt": LEARNT}, "split": SPLIT, "metrics": METRICS}
        tokens = {"clock:7d": tick} if tick else {}
        params = {"when": NONE | when, "parts": ["test"]}
        return foretell(params, tokens, lambda port, name: documents[port] if port in ports else None)[0]

    assert known() is None and known("start") is None and known("start", "split") is True
    assert known("start", tick=OLD, schedule="7d") is False  # whatever the data are
    assert known("start", tick=NOW, schedule="7d") is None  # are there new rows?
    assert known("start", schedule="7d") is None
    assert known("start", tick=OLD, schedule="7d", new_rows=60) is None
    assert known("start", "split", tick=OLD, schedule="7d", new_rows=60) is False
    bounds = {"test": {"accuracy": {"min": 0.8}}}
    assert known("start", "split", bounds=bounds) is None and known("start", "split", "metrics", bounds=bounds) is True
    assert known("start", "split", "metrics", bounds={"tset": {"accuracy": {"min": 0.8}}}) is None  # the run names it


def test_the_step_writes_what_the_update_is_keyed_by_or_is_not_due(tmp_path: Path) -> None:
    start, split, metrics = tmp_path / "start", tmp_path / "split", tmp_path / "metrics"
    for folder in (start, split, metrics):
        folder.mkdir()
    (start / "model.json").write_text(json.dumps({"learnt": LEARNT}))
    codes = np.repeat(np.arange(3, dtype=np.uint8), [600, 100, 250])
    write_split(split, ("train", "val", "test"), [("all", codes)])
    (metrics / "metrics.json").write_text(json.dumps(METRICS))
    folders = {"start": start, "split": split, "metrics": metrics}
    kinds = {"start": "Model", "split": "Split", "metrics": "Metrics"}
    ports = {name: artifact(kinds[name], folder) for name, folder in folders.items()}
    clock = ({"uri": "clock:7d", "name": "schedule", "paths": (), "token": NOW},)

    def run(folder: str, **when: Any) -> Any:
        config = {"when": NONE | when, "parts": ["test"]}
        return run_step(DUE, config, ports, tmp_path / folder, sources=clock if when.get("schedule") else ())

    made = run("a", schedule="7d", new_rows=7)
    assert made.outputs["decision"].json("decision.json")["tick"] == NOW and "scheduled" in made.summary["why"]
    assert run("b", schedule="7d").digest("decision") == made.digest("decision")  # why is not part of the bytes
    with pytest.raises(NotDue, match="50 new rows of 99"):
        run("c", new_rows=99)
    with pytest.raises(StepError, match="no part 'tset'") as error:
        run("d", bounds={"tset": {"accuracy": {"min": 0.8}}})
    assert error.value.where == "update.when.bounds.tset"


def test_the_config_is_checked_and_told_in_one_line() -> None:
    for wrong in ({"schedule": "soon"}, {"new_rows": 0}, {"bound": {}}, {"bounds": {"test": {"accuracy": {"mni": 1}}}}):
        with pytest.raises(ValidationError):
            TypeAdapter(When).validate_python(NONE | wrong)
    full = {"schedule": "0 3 * * mon", "new_rows": 2000, "bounds": {"test": {"accuracy": {"min": 0.8}}}}
    cfg = validated(DUE, {"when": full, "parts": "all"})
    assert when_text(cfg) == "due by schedule 0 3 * * mon or 2,000 new rows or test.accuracy not >= 0.8"
    assert [ref.uri for ref in ticks(cfg)] == ["clock:0 3 * * mon"]
    assert when_text(validated(DUE, {"when": NONE, "parts": "all"})) == "due by any new row"
