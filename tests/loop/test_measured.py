"""A run's page tells what was measured in that run; the page in the store does not change."""

from __future__ import annotations

from mldlc.engine.result import Result, StepResult
from mldlc.loop.measured import inserted, measures
from mldlc.plan.plan import ConfigSources, Plan, Snapshot
from mldlc.plan.step import Step


def plan_of(*stages: str) -> Plan:
    steps = tuple(Step(f"{s}@{n}", s, "k", 1, "m:f", "r", "p", "i", "c", points=(n,)) for n, s in enumerate(stages))
    return Plan("demo", "id", Snapshot(""), ConfigSources("", "config"), (), steps, {}, "outputs")


def test_what_ran_is_told_with_its_wait_for_data() -> None:
    plan = plan_of("prepare", "train", "a<b")
    done = {
        "prepare@0": StepResult("reused", seconds=9.0),
        "train@1": StepResult("ran", {}, 12.34, 11.0, 300 << 20, None, {"data_wait": 0.0421}),
        "a<b@2": StepResult("ran", {}, 1.0, 0.5, 0, None, {}),
    }
    result = Result("run", "id", "ok", done, {}, {}, 14.0)
    section = measures(plan, result, None)
    assert "<td>train</td>" in section and "4.2% of the steps" in section and "300 MB" in section and "12.3" in section
    assert "prepare" not in section and "a&lt;b" in section
    assert "train" in measures(plan, result, 1) and "train" not in measures(plan, result, 2)
    assert measures(plan, result, 0) == ""
    page = "<main>x</main><footer></footer>"
    assert inserted(page, section) == f"<main>x{section}</main><footer></footer>"
    assert inserted("no page", section) == "no page"
