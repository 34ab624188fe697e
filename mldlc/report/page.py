"""The report step: reads what it was given, builds the sections, writes one HTML page; equal inputs, equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mldlc.plan.context import Context
from mldlc.report.numbers import number, percent, short, signed, words
from mldlc.report.sections.diagnose import diagnose
from mldlc.report.sections.distillation import distillation
from mldlc.report.sections.documents import document
from mldlc.report.sections.expectations import expectations
from mldlc.report.sections.facts import facts
from mldlc.report.sections.labels import labels
from mldlc.report.sections.metrics import headline, metrics
from mldlc.report.sections.model import model
from mldlc.report.sections.plan import plan
from mldlc.report.sections.profile import profile
from mldlc.report.sections.slices import slices
from mldlc.report.sections.training import training
from mldlc.report.sections.updates import updates

TEMPLATES = Path(__file__).parent / "templates"

SECTIONS = (
    ("plan", "Plan"),
    ("metrics", "Metrics"),
    ("slices", "Slices"),
    ("distillation", "Distillation"),
    ("updates", "Updating"),
    ("training", "Training"),
    ("model", "Model"),
    ("profile", "Data profile"),
    ("expectations", "Expectations"),
    ("selection", "Feature selection"),
    ("labels", "Label fixes"),
    ("diagnose", "Diagnosis"),
    ("robustness", "Robustness"),
    ("xai", "Explanations"),
    ("decision", "Decision"),
)
"Sections in the page's order, under the names that the links carry; config and lineage follow where there is a plan."


def run(ctx: Context, cfg: Any, inputs: dict[str, Any]) -> None:
    """Write report.html; the summary has its size in bytes and the sections it shows."""
    evaluated = document(inputs["metrics"], "metrics.json")
    found: dict[str, Any] = {
        "plan": plan(ctx.lineage),
        "metrics": metrics(evaluated),
        "slices": slices(evaluated),
        "training": training(inputs["history"]),
        "model": model(inputs["model"]),
        "profile": profile(inputs["profile"]),
        "expectations": expectations(inputs["expectations"]),
        "selection": facts(inputs["selection"], "selection.json"),
        "labels": labels(inputs.get("labels")),
        "diagnose": diagnose(inputs["diagnose"]),
        "robustness": facts(inputs["robustness"], "robustness.json"),
        "xai": facts(inputs["xai"], "xai.json"),
        "decision": facts(inputs["decision"], "decision.json"),
        "distillation": distillation(inputs.get("distillation"), inputs.get("timing")),
        "updates": updates(inputs.get("updates") or {}),
    }
    shown = [(key, title) for key, title in SECTIONS if found[key]]
    if found["plan"]:
        shown += [("config", "Config"), ("lineage", "Lineage")]
    page = render("page.html", project=cfg.project, headline=headline(evaluated), shown=shown, **found)
    data = page.encode("utf-8", "replace")
    (ctx.out("report") / "report.html").write_bytes(data)
    ctx.summary({"bytes": len(data), "sections": [key for key, _ in shown]})


def render(template: str, **values: Any) -> str:
    """A page. Every value is escaped but the charts, whose own text is escaped where they are drawn."""
    env = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    env.filters.update(number=number, percent=percent, signed=signed, short=short, words=words)
    # The page's own style and script are part of it, word for word: there is nothing to escape in them.
    files = {name: Markup((TEMPLATES / name).read_text("utf-8")) for name in ("page.css", "page.js")}
    return env.get_template(template).render(style=files["page.css"], script=files["page.js"], **values)
