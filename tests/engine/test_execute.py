"""Plans from end to end: results, reuse, early cutoff, sharing of workers, inputs of every kind."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mldlc.engine.history import follow, read_run, runs
from mldlc.engine.pool import Pool
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.reason import Reason
from mldlc.plan.spec import Resources
from mldlc.plan.step import Source
from mldlc.store.layout import open_store
from mldlc.store.objects import tree_files
from mldlc.store.records import read_record
from mldlc.store.verify import verify
from tests.engine.plans import Builder, Watch, copy_kit, planned


def _chain(built: Builder, value: int = 3) -> Builder:
    built.add("a", "SOURCE", value=value)
    built.add("b", "ADD", {"values": ["a.value", "a.double"]}, value=1)
    return built.add("c", "PARITY", {"value": "b.value"})


def value(watch: Watch, digest: str) -> object:
    """The number in an artifact."""
    return json.loads(tree_files(open_store(watch.outputs), digest)["value.json"].read_text())


def test_a_plan_runs_and_then_is_reused(built: Builder, watch: Watch) -> None:
    plan = _chain(built).plan()
    first = watch.run(plan)
    assert first.status == "ok" and first.counts["run"] == 3
    assert first.metrics == {"value": 3, "sum": 10}
    assert value(watch, first.steps["c"].digests["value"]) == 0
    keys = {e.step: e.data["key"] for e in watch.events if e.type == "step_finished"}
    record = read_record(open_store(watch.outputs), keys["b"])
    assert record is not None and record.run == first.run and record.seconds > 0 and record.memory > 10_000_000
    assert record.summary == {"metrics": {"sum": 10}} and record.cpu >= 0 and set(record.inputs) == {"values"}
    second = watch.run(plan)
    assert second.counts == {"run": 0, "reuse": 3, "skip": 0, "failed": 0, "gate": 0, "applied": 0}
    assert second.metrics == first.metrics
    third = watch.run(planned(plan, first, keys))
    assert third.counts["reuse"] == 3 and third.steps["c"].digests == first.steps["c"].digests
    assert not verify(open_store(watch.outputs))
    assert list((watch.outputs / "store" / "work").iterdir()) == []
    assert list((watch.outputs / "store" / "scratch").iterdir()) == []


def test_equal_bytes_upstream_stop_the_rerun(built: Builder, watch: Watch) -> None:
    one = watch.run(_chain(built, 3).add("d", "ADD", {"values": ["c.value"]}, value=0).plan())
    two = watch.run(_chain(Builder(built.root), 5).add("d", "ADD", {"values": ["c.value"]}, value=0).plan())
    assert [two.steps[s].status for s in "abcd"] == ["ran", "ran", "ran", "reused"]
    assert two.steps["d"].digests == one.steps["d"].digests
    assert next(e for e in watch.events if e.step == "d").data["cutoff"] is True


def test_forced_and_always_run_though_a_record_stands(built: Builder, watch: Watch) -> None:
    plan = _chain(built).plan()
    watch.run(plan)
    forced = replace(plan.steps[0], reasons=(Reason("forced"),))
    result = watch.run(replace(plan, steps=(forced, *plan.steps[1:])))
    assert [result.steps[s].status for s in "abc"] == ["ran", "reused", "reused"]


def test_a_source_without_token_is_hashed_first(built: Builder, watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    file.write_text("one")
    source = Source("file:data.txt", "data.txt", (str(file),))
    plan = built.add("r", "READ", sources=(source,), action="maybe").plan()
    first = watch.run(plan)
    assert first.steps["r"].status == "ran" and value(watch, first.steps["r"].digests["value"]) == "one"
    os.utime(file)
    assert watch.run(plan).steps["r"].status == "reused"
    file.write_text("two")
    assert watch.run(plan).steps["r"].status == "ran"
    file.unlink()
    gone = watch.run(plan)
    assert gone.status == "failed" and "there is no file" in (gone.steps["r"].error or {})["message"]


def test_a_source_that_changed_after_planning_poisons_nothing(built: Builder, watch: Watch, tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    file.write_text("one")
    plan = built.add(
        "r", "READ", sources=(Source("file:d", "data.txt", (str(file),), "content", "an old token"),)
    ).plan()
    result = watch.run(plan)
    assert result.status == "failed" and "changed" in (result.steps["r"].error or {})["message"]


def test_map_keeps_a_record_a_partition(built: Builder, watch: Watch, tmp_path: Path) -> None:
    log = tmp_path / "parts.log"
    first = watch.run(built.add("p", "PARTS", value=3, log=log).plan())
    assert value(watch, first.steps["p"].digests["value"]) == 30 and log.read_text().split() == ["p0", "p1", "p2"]
    built.steps.clear()
    plan = built.add("p", "PARTS", value=3, log=log).plan()
    forced = replace(plan.steps[0], reasons=(Reason("forced"),))
    assert watch.run(replace(plan, steps=(forced,))).steps["p"].status == "ran"
    assert log.read_text().split() == ["p0", "p1", "p2"]


def test_workers_are_shared_light_and_pinned_to_the_configured_threads(built: Builder, watch: Watch) -> None:
    built.add("a", "LOOK", value=1)
    built.add("b", "LOOK", {"after": "a.value"}, value=2)
    result = watch.run(built.plan(executor={"threads": 3}))
    looks = [result.steps[s].summary for s in "ab"]
    assert looks[0]["pid"] == looks[1]["pid"] != os.getpid()
    assert looks[0]["heavy"] == [] and looks[0]["main"] is False and looks[0]["colorsys"] is False
    assert looks[0]["threads"] == 3 and looks[0]["omp"] == "3"
    assert str(watch.outputs / "store" / "work") in looks[0]["cwd"]


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        ({}, ("3000", None)),
        ({"GOMP_SPINCOUNT": "7"}, ("7", None)),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, (None, "ACTIVE")),  # a count beside it would override it
    ],
)
def test_how_openmp_waits_is_the_users_choice(own, seen, built: Builder, watch: Watch, monkeypatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, text in own.items():
        monkeypatch.setenv(name, text)
    found = watch.run(built.add("a", "LOOK", value=1).plan()).steps["a"].summary["waiting"]
    assert (found["GOMP_SPINCOUNT"], found["OMP_WAIT_POLICY"]) == seen


def test_a_fresh_step_gets_its_own_preloaded_process_once(built: Builder, watch: Watch) -> None:
    fresh = Resources(process="fresh", preload=("colorsys",))
    built.add("a", "LOOK", value=1)
    built.add("f1", "LOOK", {"after": "a.value"}, value=2, needs=fresh)
    built.add("f2", "LOOK", {"after": "f1.value"}, value=3, needs=fresh)
    built.add("e", "LOOK", {"after": "f2.value"}, value=4, needs=Resources(preload=("colorsys",)))
    result = watch.run(built.plan())
    looks = {s: result.steps[s].summary for s in ("a", "f1", "f2", "e")}
    assert len({looks[s]["pid"] for s in ("a", "f1", "f2")}) == 3
    assert looks["f1"]["colorsys"] and looks["f2"]["colorsys"] and not looks["a"]["colorsys"]
    assert looks["e"]["pid"] in (looks["f1"]["pid"], looks["f2"]["pid"])


def test_parallel_branches_share_the_slots(built: Builder, watch: Watch, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for number in range(4):
        built.add(f"s{number}", "SOURCE", value=number, seconds=0.3, log=log)
    watch.run(built.plan(), jobs=2)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    inside = [sum(a["start"] <= b["start"] < a["end"] for a in rows) for b in rows]
    assert max(inside) == 2 and len({row["pid"] for row in rows}) == 2


def test_inline_steps_need_no_worker(watch: Watch, monkeypatch) -> None:
    built = Builder().add("a", "noop", value="1").add("b", "noop", {"after": ["a.done"]}, value="2")
    monkeypatch.setattr(Pool, "_start_guardian", lambda self: (_ for _ in ()).throw(AssertionError("a worker")))
    plan = built.plan()
    assert watch.run(plan).counts["run"] == 2 and watch.run(plan).counts["reuse"] == 2
    assert not verify(open_store(watch.outputs))


def test_effects_apply_every_time_and_leave_no_record(built: Builder, watch: Watch, tmp_path: Path) -> None:
    place = tmp_path / "deployed"
    built.add("a", "SOURCE", value=1).add("d", "DEPLOY", {"value": "a.value"}, log=place, action="apply")
    plan = built.plan()
    for times in ("1", "2"):
        result = watch.run(plan)
        assert result.steps["d"].status == "applied" and result.counts["applied"] == 1 and place.read_text() == times
    there = replace(plan, steps=(plan.steps[0], replace(plan.steps[1], action="in place")))
    assert watch.run(there).steps["d"].status == "in_place" and place.read_text() == "2"


def test_skipped_by_selection(built: Builder, watch: Watch) -> None:
    plan = built.add("a", "SOURCE", value=1).add("b", "SOURCE", value=2, action="skip").plan()
    result = watch.run(plan)
    assert result.status == "ok" and result.counts["run"] == 1 and result.steps["b"].status == "skipped"


def test_history_tells_runs(built: Builder, watch: Watch) -> None:
    plan = _chain(built).plan()
    first = watch.run(plan)
    second = watch.run(plan)
    listed = runs(watch.outputs)
    assert [info.run for info in listed] == sorted([first.run, second.run])
    info = read_run(watch.outputs, "latest")
    assert (info.run, info.status, info.counts, info.plan) == (second.run, "ok", second.counts, plan.id)
    assert info.steps["a"]["stage"] == "a" and info.steps["a"]["status"] == "reused"
    told = [event.type for event in follow(watch.outputs, first.run)]
    assert told[0] == "run_started" and told[-1] == "run_finished" and told.count("step_finished") == 3
    (watch.outputs / "runs" / first.run / "summary.json").unlink()
    again = read_run(watch.outputs, first.run)
    assert (again.status, again.counts["run"], again.metrics) == ("ok", 3, first.metrics)
    try:
        read_run(watch.outputs, "nothing")
    except DiagnosticError as error:
        assert error.diagnostics[0].code == "unknown_run"
    else:
        raise AssertionError


def test_frozen_code_does_not_leak(built: Builder, watch: Watch) -> None:
    assert built.root is not None
    late = built.root / "kit" / "late.py"
    built.add("a", "LOOK", value=1, seconds=0.5)
    watch.hooks["step_started"] = lambda event: late.write_text('WORD = "edited"\n')
    result = watch.run(built.plan())
    assert result.steps["a"].summary["late"] == "first" and "edited" in late.read_text()
    assert str(watch.outputs / "cache" / "code") in result.steps["a"].summary["file"]


def test_stale_code_is_refused(built: Builder, watch: Watch) -> None:
    plan = built.add("a", "LOOK", value=1).plan()
    assert built.root is not None
    for _ in range(2):  # also when a copy of that digest is at hand
        kept = (built.root / "kit" / "words.py").read_text()
        (built.root / "kit" / "words.py").write_text(kept + "# changed\n")
        try:
            watch.run(plan)
        except DiagnosticError as error:
            assert error.diagnostics[0].code == "stale_plan" and "changed after" in str(error)
        else:
            raise AssertionError
        (built.root / "kit" / "words.py").write_text(kept)
        assert watch.run(plan).status == "ok"


def test_two_copies_of_a_project_share_the_store(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    watch.run(_chain(Builder(copy_kit(tmp_path / "one"))).plan())
    assert watch.run(_chain(Builder(copy_kit(tmp_path / "two"))).plan()).counts["reuse"] == 3
