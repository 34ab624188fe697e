"""Built-in steps that need nothing but the standard library: the gate, publishing to a folder, and the no-op."""

from __future__ import annotations

from mldlc.plan.artifact import Any, Decision, Metrics, Model, Preprocessor, Report
from mldlc.plan.spec import Resources, StepSpec, many, optional, port
from mldlc.scope.config import AutomationConfig, NoopConfig, RegistryConfig, ScopeConfig

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
