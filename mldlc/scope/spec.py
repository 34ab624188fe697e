"""Built-in steps that need nothing but the standard library: the gate, publishing to a folder, and the no-op."""

from __future__ import annotations

from mldlc.plan.artifact import Any, Decision, Metrics, Model, Preprocessor, Report
from mldlc.plan.spec import Resources, StepSpec, many, optional, port
from mldlc.scope.config import AutomationConfig, Bound, NoopConfig, RegistryConfig, ScopeConfig


def rule_text(cfg: object) -> str:
    """What the gate decides by, in one line: "partial automation: auto if test.auroc >= 0.9 and ..., else a person"."""
    rule: AutomationConfig = cfg.automation  # type: ignore[attr-defined]
    if rule.level == "manual":
        return "manual: a person decides"
    parts = [_bound(f"{part}.{name}", bound) for part, bounds in rule.bounds.items() for name, bound in bounds.items()]
    parts += [_bound(f"every slice's {name}", bound) for name, bound in rule.slices.items()]
    when = " and ".join(part for part in parts if part) or "always: no bounds are set"
    otherwise = "no otherwise" if rule.level == "full" else "else a person decides"
    return f"{rule.level} automation: yes if {when}, {otherwise}"


def _bound(what: str, bound: Bound) -> str:
    limits = [f">= {bound.min:g}"] if bound.min is not None else []
    limits += [f"<= {bound.max:g}"] if bound.max is not None else []
    return f"{what} {' and '.join(limits)}" if limits else ""


INLINE = Resources(process="inline")

GATE = StepSpec(
    kind="scope.gate",
    version=1,
    impl="mldlc.scope.gate:run",
    inputs={"metrics": port(Metrics)},
    outputs={"decision": Decision},
    reads={"automation": AutomationConfig, "scope": ScopeConfig},
    needs=INLINE,
    purity="gate",
    describe=rule_text,
    doc="Decides by metric bounds, or asks a person, before what follows may happen.",
)

PUBLISH = StepSpec(
    kind="scope.publish",
    version=1,
    impl="mldlc.scope.publish:run",
    inputs={
        "decision": optional(Decision),
        "model": port(Model),
        "preprocessor": optional(Preprocessor),
        "metrics": optional(Metrics),
        "report": optional(Report),
    },
    reads={"registry": RegistryConfig},
    needs=INLINE,
    purity="effect",
    observe="mldlc.scope.publish:observe",
    doc="Puts an approved model where others can take it, as plain files.",
)

NOOP = StepSpec(
    kind="scope.noop",
    version=1,
    impl="mldlc.scope.noop:run",
    inputs={"after": many(Any)},
    outputs={"done": Decision},
    reads={"noop": NoopConfig},
    needs=INLINE,
    doc="Does nothing but depend on others; for wiring, tests and measurements of the engine.",
)
