"""The compiler: an ordered list of passes over a Draft; the frozen Plan comes out at the end."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from mldlc.compiler import graph_cache
from mldlc.compiler.draft import CompileRequest, Draft, NeedsConfig
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.plan import Plan, Snapshot

Trace = Callable[[str, str], None]


@dataclass(frozen=True)
class Pass:
    """One pass, `mldlc.compiler.<name>:run`, and why it stands where it stands."""

    name: str
    why: str

    def run(self, draft: Draft) -> None:
        """Import and run the pass: a warm plan never imports the front ones."""
        importlib.import_module(f"mldlc.compiler.{self.name}").run(draft)


FRONT = (
    Pass("observe", "first: everything after it is a pure function of config and the frozen snapshot"),
    Pass("compose", "the config must exist before it can be checked"),
    Pass("type", "all mistakes in values are reported at once, before any graph is built on them"),
    Pass("stages", "needs typed stages; drops the disabled ones, so that wiring sees only live ones"),
    Pass("artifacts", "needs the live stages; after it the nodes are in dependency order"),
)
BACK = (
    Pass("fingerprint", "recipes are Merkle hashes, so the wiring must stand"),
    Pass("dedupe", "equal recipes across sweep points become one node before anything is looked up"),
    Pass("resolve", "looks each distinct node up once, upstream first"),
    Pass("reasons", "explains actions, so they must be decided"),
    Pass("cost", "only what would run costs; over the budget is an error before anything starts"),
    Pass("lower", "last: freezes the draft into the plan, in execution order"),
)
PASSES = FRONT + BACK


def compile_plan(ask: CompileRequest, trace: Trace | None = None) -> Plan:
    """Compile a request to a plan. Raises DiagnosticError with every error found; warnings stay in the plan.

    trace: called after each pass with its name and what it changed, as text; it switches caches off.
    """
    try:
        return _compile(ask, trace)
    except DiagnosticError as error:
        from mldlc.compiler.foreign import translated

        raise DiagnosticError(translated(error.diagnostics)) from error


def _compile(ask: CompileRequest, trace: Trace | None) -> Plan:
    draft = graph_cache.load(ask) if trace is None and not ask.offline else None
    if draft is not None:
        try:
            return _finish(draft, None)
        except NeedsConfig:
            pass
    code = () if ask.project.revision else ask.project.code
    draft = Draft(ask, Snapshot(""), ask.project.root, code, cached=trace is None)
    _through(FRONT, draft, trace)
    if not ask.offline:
        graph_cache.save(draft)
    return _finish(draft, trace)


def front(ask: CompileRequest) -> Draft:
    """The typed, wired graph: what a config asks for, before anything outside is looked at."""
    draft = Draft(ask, Snapshot(""), ask.project.root, () if ask.project.revision else ask.project.code)
    _through(FRONT, draft, None)
    return draft


def _finish(draft: Draft, trace: Trace | None) -> Plan:
    _through(BACK, draft, trace)
    assert draft.plan is not None
    return draft.plan


def _through(passes: tuple[Pass, ...], draft: Draft, trace: Trace | None) -> None:
    before = _summary(draft) if trace else []
    for step in passes:
        step.run(draft)
        if any(item.severity == "error" for item in draft.diagnostics):
            raise DiagnosticError(draft.diagnostics)
        if trace is not None:
            after, seen = _summary(draft), set(before)
            trace(step.name, "\n".join(line for line in after if line not in seen))
            before = after


def _summary(draft: Draft) -> list[str]:
    from mldlc.compiler.trace import summary

    return summary(draft)
