"""Static names -> spec modules: which kinds of step exist, found without importing anything heavy.

A shipped kind is a row here; a plugin's kind comes from an entry point of group `mldlc.steps` (metadata only until it
is used); a user's kind is `package.module:NAME` inside the declared code roots.
"""

from __future__ import annotations

import importlib
from functools import cache

from mldlc.plan.spec import StepSpec

KINDS: dict[str, str] = {
    "data.collect": "mldlc.data.spec:COLLECT",
    "data.clean": "mldlc.data.spec:CLEAN",
    "data.split": "mldlc.data.spec:SPLIT",
    "data.select": "mldlc.data.spec:SELECT",
    "data.prepare": "mldlc.data.spec:PREPARE",
    "data.tokenize": "mldlc.data.spec:TOKENIZE",
    "profile.profile": "mldlc.profile.spec:PROFILE",
    "profile.expect": "mldlc.profile.spec:EXPECT",
    "training.train": "mldlc.training.spec:TRAIN",
    "training.recall": "mldlc.training.spec:RECALL",
    "training.teach": "mldlc.training.spec:TEACH",
    "training.distill": "mldlc.training.spec:DISTILL",
    "training.rung": "mldlc.training.spec:RUNG",
    "training.update": "mldlc.training.spec:UPDATE",
    "evaluation.evaluate": "mldlc.evaluation.spec:EVALUATE",
    "evaluation.language": "mldlc.evaluation.spec:LANGUAGE",
    "evaluation.out_of_fold": "mldlc.evaluation.spec:OUT_OF_FOLD",
    "evaluation.labels": "mldlc.evaluation.spec:LABELS",
    "evaluation.diagnose": "mldlc.evaluation.spec:DIAGNOSE",
    "evaluation.robustness": "mldlc.evaluation.spec:ROBUSTNESS",
    "evaluation.xai": "mldlc.evaluation.spec:XAI",
    "evaluation.distillation": "mldlc.evaluation.spec:DISTILLATION",
    "evaluation.seeds": "mldlc.evaluation.spec:SEEDS",
    "evaluation.compare": "mldlc.evaluation.spec:COMPARE",
    "evaluation.select_best": "mldlc.evaluation.spec:SELECT_BEST",
    "evaluation.ensemble": "mldlc.evaluation.spec:ENSEMBLE",
    "report.report": "mldlc.report.spec:REPORT",
    "report.sweep": "mldlc.report.spec:SWEEP",
    "scope.gate": "mldlc.scope.spec:GATE",
    "scope.due": "mldlc.scope.spec:DUE",
    "scope.publish": "mldlc.scope.spec:PUBLISH",
    "scope.noop": "mldlc.scope.spec:NOOP",
    "versions.publish": "mldlc.versions.spec:PUBLISH",
}

# Config group -> a shipped kind that reads it: how a group that no live stage reads is checked. A test keeps it true.
OWNERS: dict[str, str] = {
    "source": "data.collect",
    "clean": "data.clean",
    "split": "data.split",
    "select": "data.select",
    "prepare": "data.prepare",
    "profile": "profile.profile",
    "expect": "profile.expect",
    "model": "training.train",
    "objective": "training.train",
    "optimizer": "training.train",
    "trainer": "training.train",
    "callbacks": "training.train",
    "ingest": "training.train",
    "distill": "training.distill",
    "earlier": "training.recall",
    "lessons": "training.teach",
    "rung": "training.rung",
    "update": "training.update",
    "evaluate": "evaluation.evaluate",
    "slices": "evaluation.evaluate",
    "scores": "evaluation.out_of_fold",
    "labels": "evaluation.labels",
    "diagnose": "evaluation.diagnose",
    "robustness": "evaluation.robustness",
    "xai": "evaluation.xai",
    "compare": "evaluation.compare",
    "ensemble": "evaluation.ensemble",
    "project": "report.report",
    "scope": "scope.gate",
    "automation": "scope.gate",
    "when": "scope.due",
    "parts": "scope.due",
    "registry": "scope.publish",
    "noop": "scope.noop",
    "versions": "versions.publish",
}

# Config group -> the names that users of another tool type there, and what stands for them.
FOREIGN: dict[str, str] = {"trainer": "mldlc.training.foreign:TRAINER"}

# Groups that no step reads: the compiler's own (their schemas: compiler/groups.py), and plain values at the top.
OWN_GROUPS = (
    "lifecycle",
    "sweep",
    "paths",
    "executor",
    "features",
    "teacher",
    "serve",
    "monitor",
    "alert",
    "tracker",
)
SCALARS = ("seed",)


@cache
def plugin_kinds() -> dict[str, str]:
    """Kinds that installed packages add: entry points of group `mldlc.steps`, name = kind, value = module:NAME."""
    import importlib.metadata

    return {entry.name: entry.value for entry in importlib.metadata.entry_points(group="mldlc.steps")}


def is_user_kind(kind: str) -> bool:
    """Whether a kind names a user's own spec (`package.module:NAME`)."""
    return ":" in kind


def kinds() -> list[str]:
    """Every kind that a stage may name, sorted."""
    return sorted({*KINDS, *plugin_kinds()})


def load_spec(kind: str) -> StepSpec:
    """Import the spec of a kind. KeyError when no such kind; for a user's kind its code roots must be on sys.path."""
    target = kind if is_user_kind(kind) else KINDS.get(kind) or plugin_kinds()[kind]
    module, _, name = target.partition(":")
    spec = getattr(importlib.import_module(module), name)
    if not isinstance(spec, StepSpec):
        raise TypeError(f"{target} is not a StepSpec")
    return spec
