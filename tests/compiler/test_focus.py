"""focus=data and focus=model: which points they make, and what the points of label fixes change in the plan."""

from __future__ import annotations

from pathlib import Path

from mldlc.cli.views.plan_text import lines
from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.evaluation.work import family
from mldlc.plan.plan import Plan
from mldlc.plan.step import Step

QUICK = ("experiment=adult", "sweep.vary={labels: [drop, relabel], split.learn: [0.5], seed: [1]}")


def swept(plan: Plan) -> dict[int, dict[str, str]]:
    return {point.id: dict(line.split("=", 1) for line in point.overrides) for point in plan.points}


def taken(plan: Plan, step: Step) -> dict[str, str]:
    """Port -> stage.port of what a step takes."""
    stages = {item.id: item.stage for item in plan.steps}
    return {port: f"{stages[ref.step]}.{ref.port}" for port, item in step.inputs.items() for ref in item.refs}


def test_label_fixes_are_points_of_data_work_that_only_learning_sees(tmp_path: Path) -> None:
    plan = compile_plan(CompileRequest(tmp_path, ("focus=data", *QUICK)))
    points = swept(plan)
    families = {number: family(overrides) for number, overrides in points.items()}
    mended = {number for number, overrides in points.items() if "labels" in overrides}
    assert len(mended) == 2 and {families[number] for number in mended} == {"data"}
    steps = {
        stage: [step for step in plan.steps if step.stage == stage]
        for stage in ("out_of_fold", "labels", "train", "evaluate")
    }
    assert {step.points for step in steps["labels"]} == {(number,) for number in mended}
    assert {step.points for step in steps["out_of_fold"]} == {tuple(sorted(mended))}, "scored once"
    for step in steps["train"]:
        source = ("labels.table", "labels.split") if set(step.points) <= mended else ("prepare.table", "split.split")
        assert tuple(taken(plan, step)[port] for port in ("table", "split")) == source
    for step in steps["evaluate"]:
        found = taken(plan, step)
        assert (found["table"], found["split"]) == ("prepare.table", "split.split"), "judged by the labels as given"
    prepare = [step for step in plan.steps if step.stage == "prepare"]
    assert any(mended <= set(step.points) for step in prepare), "made once for them and for the base"
    shown = [line.split()[1] for line in lines(plan)]
    assert shown[shown.index("prepare") :][:4] == ["prepare", "out_of_fold", "labels", "train"], (
        "each after what it takes"
    )


def test_a_focus_keeps_what_it_holds(tmp_path: Path) -> None:
    found = swept(compile_plan(CompileRequest(tmp_path, ("experiment=adult", "focus=model"))))
    assert {family(overrides) for overrides in found.values()} == {"model", "chance", ""}
    assert [number for number, overrides in found.items() if not overrides] == [0], "the point as configured"
