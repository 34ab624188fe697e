"""The step of versioned data: publishing what a run made, as one commit with its lineage."""

from __future__ import annotations

from typing import Any

from mldlc.plan.artifact import Decision, Metrics, Model, Preprocessor, Profile, Report, Split, Table
from mldlc.plan.spec import Resources, StepSpec, optional
from mldlc.versions.config import Versions


def place_text(cfg: Any) -> str:
    """Where it goes, for the plan: "store://main/adult/"."""
    chosen = cfg.versions
    where = f"lakefs://{chosen.repository}@{chosen.branch}" if chosen.kind == "lakefs" else f"store://{chosen.branch}"
    return f"to {where}/{chosen.prefix}/"


PUBLISH = StepSpec(
    kind="versions.publish",
    version=1,
    inputs={
        "decision": optional(Decision),
        "dataset": optional(Table),
        "split": optional(Split),
        "profile": optional(Profile),
        "preprocessor": optional(Preprocessor),
        "model": optional(Model),
        "metrics": optional(Metrics),
        "report": optional(Report),
    },
    reads={"versions": Versions},
    needs=Resources(cpu=1, process="light"),
    purity="effect",
    observe="mldlc.store.published:observe",
    impl="mldlc.versions.publish:run",
    describe=place_text,
    doc="Commits a run's artifacts to a branch of the version store: draft, commit, merge, tag.",
)
