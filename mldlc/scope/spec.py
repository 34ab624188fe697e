"""Built-in steps that need nothing but the standard library: gates, publishing to a folder, and the no-op."""

from __future__ import annotations

from mldlc.plan.artifact import Any, Decision, Metrics, Model, Preprocessor, Report, Split
from mldlc.plan.source import SourceRef
from mldlc.plan.spec import Resources, StepSpec, many, optional, port
from mldlc.scope.config import AutomationConfig, Bound, NoopConfig, Parts, RegistryConfig, ScopeConfig, When


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


def when_text(cfg: object) -> str:
    """When an update is due, in one line."""
    when: When = cfg.when  # type: ignore[attr-defined]
    asks = [f"schedule {when.schedule}"] if when.schedule else []
    asks += [f"{when.new_rows:,} new rows"] if when.new_rows else []
    asks += [
        f"{part}.{name} not {limits.removeprefix(f'{part}.{name} ')}"
        for part, bounds in when.bounds.items()
        for name, bound in bounds.items()
        if (limits := _bound(f"{part}.{name}", bound))
    ]
    return f"due by {' or '.join(asks) or 'any new row'}"


def ticks(cfg: object) -> tuple[SourceRef, ...]:
    """The clock as a source, whose version is the last scheduled time."""
    when: When = cfg.when  # type: ignore[attr-defined]
    return (SourceRef(f"clock:{when.schedule}", "schedule", identity="version"),) if when.schedule else ()


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

DUE = StepSpec(
    kind="scope.due",
    version=1,
    impl="mldlc.scope.due:run",
    inputs={"start": port(Model), "split": port(Split), "metrics": optional(Metrics)},
    outputs={"decision": Decision},
    reads={"when": When, "parts": Parts},
    needs=Resources(process="light"),
    purity="gate",
    sources=ticks,
    decide="mldlc.scope.due:foretell",
    describe=when_text,
    doc="Lets an update of a deployed model through when it is due: by the clock, by new rows, by its metrics.",
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
