"""Golden plans: what the shipped experiments compile to, with what differs between machines and releases masked.

`MLDLC_GOLDEN=write pytest tests/compiler/test_golden_plans.py` writes them anew; read the diff before you commit it. A moved
`recipe` means that an upgrade reruns that stage for everybody: a new field needs `neutral=`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mldlc.compiler.draft import CompileRequest
from mldlc.compiler.pipeline import compile_plan
from mldlc.plan.keys import recipe
from mldlc.plan.plan import Plan

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CASES = {
    "adult": ("experiment=adult",),
    "housing": ("experiment=housing",),
    "studied": (
        "experiment=adult",
        "select=filter",
        "clean=rules",
        "diagnose=standard",
        "robustness=standard",
        "xai=permutation",
    ),
    "mended": ("experiment=adult", "labels=drop"),
    "published": ("experiment=adult", "registry=folder", "automation=partial"),
    "swept": ("experiment=adult", "lifecycle=sweep", "ensemble=mean", "registry=folder", "versions=local",
              "model=linear,mlp_adult", "optimizer.lr=0.001,0.002"),
}  # fmt: skip


def masked(plan: Plan) -> dict[str, object]:
    """The plan's intent: wiring, hashed config and the recipe that it would have if the code were empty."""
    recipes: dict[str, str] = {}
    steps = {}
    # the id of a sweep's step carries its recipe, and that the code
    names = {s.id: f"{s.stage}@{','.join(map(str, s.points))}" if "#" in s.id else s.id for s in plan.steps}
    for step in plan.steps:
        inputs = {port: [(r.label, recipes[r.step], r.port) for r in item.refs] for port, item in step.inputs.items()}
        recipes[step.id] = recipe(
            kind=step.kind, version=step.version, code="", identity=step.identity, inputs=inputs,
            sources=[source.uri for source in step.sources],
        )  # fmt: skip
        steps[names[step.id]] = {
            "kind": step.kind,
            "version": step.version,
            "purity": step.purity,
            "process": step.needs.process,
            "inputs": {
                port: [f"{names[r.step]}.{r.port}{_labelled(r.label)}" for r in item.refs]
                for port, item in step.inputs.items()
            },
            "outputs": step.outputs,
            "sources": [source.uri for source in step.sources],
            "config": plan.blobs[step.identity],
            "recipe": recipes[step.id],
            **({"scope": "sweep", "partial": step.partial} if step.scope == "sweep" else {}),
        }
    return {"name": plan.name, "steps": steps}


def _labelled(label: str) -> str:
    return f" as {label}" if label else ""


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden_plan(name: str, tmp_path: Path) -> None:
    found = masked(compile_plan(CompileRequest(tmp_path, CASES[name], multirun=name == "swept")))
    file = GOLDEN / f"{name}.json"
    if os.environ.get("MLDLC_GOLDEN") == "write":
        file.write_text(json.dumps(found, indent=1) + "\n")
    assert json.loads(file.read_text()) == json.loads(json.dumps(found))
