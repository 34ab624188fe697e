"""The steps of the report: one self-contained HTML page about everything upstream of it, or about a sweep."""

from __future__ import annotations

from pathlib import Path

from mldlc.config.project_schema import ProjectConfig
from mldlc.plan.artifact import Decision, Expectations, Metrics, Model, Profile, Report
from mldlc.plan.spec import Resources, StepSpec, many, optional, port

_TEMPLATES = tuple(
    str(path)
    for path in sorted((Path(__file__).parent / "templates").iterdir())
    if path.suffix in (".html", ".css", ".js")
)

REPORT = StepSpec(
    kind="report.report",
    version=1,
    impl="mldlc.report.page:run",
    inputs={
        "profile": optional(Profile),
        "metrics": optional(Metrics),
        "history": optional(Metrics),
        "model": optional(Model),
        "expectations": optional(Expectations),
        "selection": optional(Decision),
        "labels": optional(Metrics),
        "diagnose": optional(Metrics),
        "robustness": optional(Metrics),
        "xai": optional(Metrics),
        "decision": optional(Decision),
        "distillation": optional(Metrics),
        "timing": optional(Metrics),
        "updates": many(Metrics),
    },
    outputs={"report": Report},
    reads={"project": ProjectConfig},
    needs=Resources(process="light"),
    code=_TEMPLATES,
    lineage=True,
    doc="One HTML page: plan, data profile, training curves, metrics, slices, studies, config and lineage.",
)

SWEEP = StepSpec(
    kind="report.sweep",
    version=1,
    impl="mldlc.report.sweep:run",
    inputs={"comparison": port(Metrics), "decision": optional(Decision), "ensemble": optional(Metrics)},
    outputs={"report": Report},
    reads={"project": ProjectConfig},
    needs=Resources(process="light"),
    code=_TEMPLATES,
    doc="One HTML page of a sweep: points, importance of the keys, data work against model work.",
)
