"""OpenLineage events of runs that ended well, failed, were stopped or killed, held against the published specification."""

from __future__ import annotations

import datetime
import threading
import uuid
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mldlc.engine.execute import Options
from mldlc.engine.history import read_run
from mldlc.loop.execute import run_plan
from mldlc.loop.openlineage import FILE, run_events, run_uuid, to_lines
from tests.loop.gitted import committed
from tests.loop.openlineage_client import round_trip
from tests.loop.openlineage_schema import EVENT, FACETS
from tests.projects import TALLY, Repository, repository

FAILING = """\
def total(size):
    raise ValueError("no such luck")
"""
TABLED = '''\
"""A step that makes a table."""

import polars as pl

from mldlc.artifacts.table import write_table
from mldlc.plan.artifact import Any, Table
from mldlc.plan.spec import StepSpec, many

TABLED = StepSpec(kind="tabled", version=1, impl="tallying.tabled:run", inputs={"after": many(Any)}, outputs={"t": Table})


def run(ctx, cfg, inputs):
    write_table(ctx.out("t"), [("all", pl.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "c"]}))])
'''
TABLE = "+lifecycle.stages.u={kind: 'tallying.tabled:TABLED', inputs: {after: a}}"


def run(repo: Repository, *overrides: str, stop: threading.Event | None = None) -> str:
    result, _ = run_plan(repo.plan(*overrides), Options(), lambda event: None, stop or threading.Event())
    return result.run


def outputs(repo: Repository) -> Path:
    return repo.root / "outputs"


def told(repo: Repository, name: str) -> list[dict[str, Any]]:
    """The run's events, valid by our schema and by the published classes, with one START and at most one end a run id, in order of time."""
    found = run_events(outputs(repo), name)
    for event in found:
        check(event)
    assert [e["eventTime"] for e in found] == sorted(e["eventTime"] for e in found)
    ids = {event["run"]["runId"] for event in found}
    for id in ids:
        types = [event["eventType"] for event in found if event["run"]["runId"] == id]
        assert types[0] == "START" and len(types) <= 2 and types[1:] != ["START"], types
    return found


def check(event: dict[str, Any]) -> None:
    """Validate an event, and each facet in it by its own schema; the OpenLineage project's own classes take it whole."""
    checker = jsonschema.FormatChecker(["uuid"])
    jsonschema.Draft202012Validator(EVENT, format_checker=checker).validate(event)
    datetime.datetime.fromisoformat(event["eventTime"])
    for name, facet in facets(event):
        jsonschema.Draft202012Validator(FACETS[name], format_checker=checker).validate(facet)
    assert without_empty(round_trip(event)) == without_empty(event)


def without_empty(value: Any) -> Any:
    """Without empty lists and objects, which the published classes add where a field is left out."""
    if isinstance(value, dict):
        kept = {name: without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in ({}, [])}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


def facets(event: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    places = [event["run"], event["job"], *event["inputs"], *event["outputs"]]
    found = [item for place in places for item in place.get("facets", {}).items()]
    return found + [item for place in event["outputs"] for item in place.get("outputFacets", {}).items()]


def by_job(found: list[dict[str, Any]]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for event in found:
        out.setdefault(event["job"]["name"], []).append(event["eventType"])
    return out


def test_a_run_and_its_steps(tmp_path: Path) -> None:
    repo = repository(tmp_path, {"src/tallying/tabled.py": TABLED})
    name = run(repo, TALLY, TABLE)
    found = told(repo, name)
    whole = ["START", "COMPLETE"]
    assert by_job(found) == {"default": whole} | {f"default.{stage}": whole for stage in "abctu"}
    assert (outputs(repo) / "runs" / name / FILE).read_text() == to_lines(found)
    parent = next(event["run"]["runId"] for event in found if event["job"]["name"] == "default")
    assert parent == run_uuid(name)
    end = next(event for event in found if event["job"]["name"] == "default.c" and event["eventType"] == "COMPLETE")
    assert end["run"]["facets"]["parent"]["run"]["runId"] == parent
    digests = {id: step["digests"] for id, step in read_run(outputs(repo), name).steps.items()}
    assert {(item["name"], item["facets"]["version"]["datasetVersion"]) for item in end["inputs"]} == {
        ("a.done", digests["a"]["done"]), ("b.done", digests["b"]["done"]),
    }  # fmt: skip
    made = next(event for event in found if event["job"]["name"] == "default.u" and event["outputs"])["outputs"][0]
    assert [(f["name"], f["type"]) for f in made["facets"]["schema"]["fields"]] == [("x", "Int64"), ("y", "String")]
    assert made["outputFacets"]["outputStatistics"]["rowCount"] == 3
    assert made["outputFacets"]["outputStatistics"]["fileCount"] == 2
    parameters = next(event for event in found if event["job"]["name"] == "default.t")["run"]["facets"]
    assert parameters["executionParameters"]["parameters"] == [{"key": "tally.size", "value": "3"}]


def test_code_is_located_in_the_repository_without_credentials(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    rev = committed(repo.root)
    found = told(repo, run(repo, TALLY))
    where = {event["job"]["name"]: event["job"]["facets"]["sourceCodeLocation"] for event in found}
    assert where["default.t"]["path"] == "src/tallying/steps.py" and "path" not in where["default.a"]
    assert where["default.t"]["url"] == f"https://git.example.org/team/chain/tree/{rev}"
    assert {event["job"]["namespace"] for event in found} == {"https://git.example.org/team/chain"}
    assert "s3cret" not in to_lines(found)


def test_a_reused_step_has_no_events(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    run(repo)
    again = run(repo)
    assert by_job(told(repo, again)) == {"default": ["START", "COMPLETE"]}
    assert not (outputs(repo) / "runs" / again / FILE).exists()
    third = run(repo, "second.value=8")
    assert by_job(told(repo, third)).keys() == {"default", "default.b", "default.c"}
    start = next(event for event in told(repo, third) if event["job"]["name"] == "default.c")
    assert all(item["facets"]["version"] for item in start["inputs"])


def test_a_failure_tells_its_message(tmp_path: Path) -> None:
    repo = repository(tmp_path, {"src/tallying/counting.py": FAILING})
    found = told(repo, run(repo, TALLY))
    assert by_job(found)["default.t"] == ["START", "FAIL"] and by_job(found)["default"] == ["START", "FAIL"]
    end = next(event for event in found if event["job"]["name"] == "default.t" and event["eventType"] == "FAIL")
    assert "no such luck" in end["run"]["facets"]["errorMessage"]["message"] and end["outputs"] == []


def test_a_waiting_gate_and_a_stopped_run_abort(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    stop = threading.Event()
    stop.set()
    assert by_job(told(repo, run(repo, stop=stop)))["default"] == ["START", "ABORT"]


def test_a_killed_run_aborts_what_it_had_begun(tmp_path: Path) -> None:
    repo = repository(tmp_path)
    name = run(repo, TALLY)
    folder = outputs(repo) / "runs" / name
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    cut = next(number for number, line in enumerate(lines) if '"step_started"' in line)
    (folder / "journal.jsonl").write_text("".join(lines[: cut + 1]))
    (folder / "summary.json").unlink()
    found = told(repo, name)
    assert by_job(found)["default"] == ["START", "ABORT"] and by_job(found)["default.t"] == ["START", "ABORT"]
    assert by_job(found)["default.a"] == ["START", "COMPLETE"]


def test_run_ids_are_uuids_of_version_seven_and_stay_the_same() -> None:
    names = [("20261124T102900Z-8915b8", step) for step in ("", "a", "b")] + [("20261124T102900Z-8915b9", "")]
    ids = [uuid.UUID(run_uuid(*name)) for name in names]
    assert len(set(ids)) == 4 and all(id.version == 7 and id.variant == uuid.RFC_4122 for id in ids)
    assert ids == [uuid.UUID(run_uuid(*name)) for name in names]
    began = datetime.datetime(2026, 11, 24, 10, 29, tzinfo=datetime.UTC)
    assert {id.int >> 80 for id in ids} == {int(began.timestamp() * 1000)}


def test_every_facet_that_we_tell_was_seen_by_the_published_classes(tmp_path: Path) -> None:
    repo = repository(tmp_path, {"src/tallying/counting.py": FAILING, "src/tallying/tabled.py": TABLED})
    committed(repo.root)
    events = told(repo, run(repo, TALLY, TABLE))
    assert {name for event in events for name, _ in facets(event)} == set(FACETS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"eventType": "DONE"},
        {"eventTime": "2026-11-24"},
        {"run": {"runId": "7"}},
        {"job": {"namespace": "n"}},
        {"inputs": [{"namespace": "n", "name": 3}]},
        {"more": 1},
        {"schemaURL": "https://openlineage.io/spec/1-0-0/OpenLineage.json#/$defs/RunEvent"},
        {"run": {"runId": str(uuid.uuid4()), "facets": {"x": {"_producer": "https://x", "_schemaURL": "https://x"}}}},
    ],
)
def test_the_published_classes_refuse_what_is_wrong(tmp_path: Path, wrong: dict[str, Any]) -> None:
    repo = repository(tmp_path)
    event = run_events(outputs(repo), run(repo))[0]
    round_trip(event)
    with pytest.raises((TypeError, ValueError)):
        round_trip({**event, **wrong})
