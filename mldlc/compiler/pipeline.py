"""The compiler: an ordered list of passes over a Draft; the frozen Plan comes out at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mldlc.compiler import (
    artifacts,
    compose,
    cost,
    dedupe,
    fingerprint,
    lower,
    observe,
    reasons,
    resolve,
    stages,
    type,
)
from mldlc.compiler.draft import CompileRequest, Draft
from mldlc.compiler.trace import summary
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan


@dataclass(frozen=True)
class Pass:
    """One pass and why it stands where it stands."""

    name: str
    run: Callable[[Draft], None]
    why: str


PASSES = (
    Pass("observe", observe.run, "first: everything after it is a pure function of config and the frozen snapshot"),
    Pass("compose", compose.run, "the config must exist before it can be checked"),
    Pass("type", type.run, "all mistakes in values are reported at once, before any graph is built on them"),
    Pass("stages", stages.run, "needs typed stages; drops the disabled ones, so that wiring sees only live ones"),
    Pass("artifacts", artifacts.run, "needs the live stages; after it the nodes are in dependency order"),
    Pass("fingerprint", fingerprint.run, "recipes are Merkle hashes, so the wiring must stand"),
    Pass("dedupe", dedupe.run, "equal recipes across sweep points become one node before anything is looked up"),
    Pass("resolve", resolve.run, "looks each distinct node up once, upstream first"),
    Pass("reasons", reasons.run, "explains actions, so they must be decided"),
    Pass("cost", cost.run, "only what would run costs; over the budget is an error before anything starts"),
    Pass("lower", lower.run, "last: freezes the draft into the plan, in execution order"),
)


def compile_plan(ask: CompileRequest, trace: Callable[[str, str], None] | None = None) -> Plan:
    """Compile a request to a plan. Raises DiagnosticError with every error found; warnings stay in the plan.

    trace: called after each pass with its name and what it changed, as text.
    """
    draft = Draft(ask, observe.ambient(ask))
    before = summary(draft)
    for step in PASSES:
        step.run(draft)
        errors = [item for item in draft.diagnostics if item.severity == "error"]
        if errors:
            raise DiagnosticError(draft.diagnostics)
        if trace is not None:
            after = summary(draft)
            trace(step.name, "\n".join(line for line in after if line not in set(before)))
            before = after
    assert draft.plan is not None
    return draft.plan
