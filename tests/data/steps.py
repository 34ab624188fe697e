"""Runs the data steps in tests: configs come from `conf/`, changed by keyword."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from mldlc.artifacts.handle import Artifact
from mldlc.artifacts.load import typed
from mldlc.artifacts.table import write_table
from mldlc.data import spec
from mldlc.plan.spec import StepSpec
from tests.step_harness import StepRun, artifact, run_step

CONF = Path(__file__).resolve().parents[2] / "conf"


def option(group: str, name: str, **changes: Any) -> dict[str, Any]:
    """The option's YAML with top-level keys changed."""
    return {**yaml.safe_load((CONF / group / f"{name}.yaml").read_text()), **changes}


def table(
    folder: Path, frames: pl.DataFrame | Sequence[pl.DataFrame], roles: Mapping[str, str] | None = None
) -> Artifact:
    """A Table artifact of one partition a frame."""
    out = folder / "table"
    out.mkdir(parents=True)
    frames = [frames] if isinstance(frames, pl.DataFrame) else frames
    write_table(out, [(f"p{i}", frame) for i, frame in enumerate(frames)], roles=roles)
    return artifact("Table", out)


def step(kind: StepSpec, config: Mapping[str, Any], folder: Path, **inputs: Artifact | None) -> StepRun:
    """Run a data step; its config group is the only one it reads."""
    (group,) = kind.reads
    return run_step(kind, {group: config}, inputs, folder / kind.kind)


def collect(config: Mapping[str, Any], folder: Path) -> StepRun:
    """Run `collect`."""
    return step(spec.COLLECT, config, folder)


def rows(made: Artifact) -> pl.DataFrame:
    """The frame of a Table artifact."""
    return typed(made).load()
