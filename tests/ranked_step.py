"""Runs one step through the engine's own execution, so that it may have ranks; the store is a folder of the test."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mldlc.artifacts.handle import Artifact
from mldlc.engine.objects import LocalObjects
from mldlc.engine.perform import Outcome, Surroundings, perform
from mldlc.engine.step_file import BoundInput, BoundItem, Setting, StepFile
from mldlc.plan.codec import encode
from mldlc.plan.spec import StepSpec
from mldlc.store.layout import open_store
from tests.step_harness import StepRun, artifact, validated

KEY = "ab" * 32


def run_ranked(
    spec: StepSpec,
    config: Mapping[str, Any],
    inputs: Mapping[str, Artifact],
    root: Path,
    cancelled: Callable[[], bool] = lambda: False,
    say: Callable[[str, dict[str, Any]], None] | None = None,
) -> tuple[Outcome, StepRun]:
    """The outcome, and what the step gave. Called again with the same root it finds its scratch, not its record."""
    store = open_store(root / "outputs")
    port = LocalObjects(store, {"run": "test", "step": "train"})
    bound = {}
    for name, item in inputs.items():
        folder = root / f"given-{time.time_ns()}"  # the store takes what it is given
        shutil.copytree(next(iter(item.files.values())).parent, folder)
        bound[name] = BoundInput("one", (BoundItem("", item.type, port.put(folder, item.type).digest),))
    groups = {name: json.loads(value.model_dump_json()) for name, value in vars(validated(spec, config)).items()}
    file = StepFile(
        step="train", stage="train", kind=spec.kind, version=spec.version, impl=spec.impl, key=KEY, recipe=KEY,
        identity="", code="", setting=Setting("test", "plan", str(root / "outputs"), 1), forced=True, params=groups,
        inputs=bound, outputs={name: kind.name for name, kind in spec.outputs.items()},
    )  # fmt: skip
    work = root / f"work-{time.time_ns()}"
    work.mkdir(parents=True)
    metrics: list[tuple[str, float, int]] = []

    def hear(kind: str, data: dict[str, Any]) -> None:
        if kind == "metric":
            metrics.append((data["name"], data["value"], data["at"]))
        if say is not None:
            say(kind, data)

    log = logging.getLogger("mldlc.step")
    outcome = perform(file, port, Surroundings(work, hear, cancelled, log))
    assert encode(outcome)
    outputs = {}
    for name, made in outcome.outputs.items():
        for path, real in port.fetch(made.digest).items():
            target = work / "got" / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(real.read_bytes())
        outputs[name] = artifact(made.type, work / "got" / name)
    return outcome, StepRun(outputs, outcome.summary, metrics)
