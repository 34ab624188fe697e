"""What a config asks of a search, checked: its settings and its space as plain data, for the loop."""

from __future__ import annotations

from typing import Any

from mldlc.compiler.draft import Draft
from mldlc.compiler.goals import expected
from mldlc.config.groups import describe_groups
from mldlc.config.provenance import COMMAND_LINE
from mldlc.config.space import Choices, Interval, Param, plain, read_param
from mldlc.config.spanning import SEARCHES
from mldlc.plan.codec import flatten
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, Location, did_you_mean


def search_settings(draft: Draft, sweep: Any) -> dict[str, Any] | None:
    """The settings of a search with every parameter read, or None where the config asks for no search.

    sweep: the validated group as plain values. Mistakes go to the draft's diagnostics.
    """
    if not isinstance(sweep, dict) or sweep.get("kind") not in SEARCHES or draft.ask.points:
        return None
    assert draft.composition is not None
    space: dict[str, Param] = {}
    for name, value in sweep["params"].items():
        try:
            space[name] = read_param(value, draft.composition.parse)
        except ValueError as error:
            _wrong(draft, name, "bad_space", f"sweep.params.{name}: {error}")
    spanned = {name: read_param(value) for name, value in draft.composition.space.items()}
    for name in {**space, **spanned}:
        _exists(draft, name, spanned.get(name) or space.get(name))
    space |= spanned
    if not space and not any(item.severity == "error" for item in draft.diagnostics):
        hint = "give sweep.params, or override with several values: 'optimizer.lr=interval(1e-4,1e-2)'"
        where = draft.composition.points[0].provenance.locate("sweep.kind")
        draft.diagnostics.append(
            Diagnostic("empty_space", f"sweep={sweep['kind']} has nothing to search", where=where, hint=hint)
        )
    _fits_sampler(draft, sweep["sampler"], space)
    goals = sweep.get("objectives") or [sweep["objective"]]
    asked = {**sweep, "objective": goals, "params": {name: plain(param) for name, param in space.items()}}
    return asked | {"expected": expected(draft, asked["until"], [goal["metric"] for goal in goals])}


def _exists(draft: Draft, name: str, param: Param | None) -> None:
    """A parameter must be a key of the config, or a group and its options; `+key` adds one."""
    assert draft.composition is not None
    config = draft.composition.points[0].config
    key = name.partition("@")[0]
    groups = describe_groups(draft.ask.project, draft.seen)
    if key in groups and isinstance(param, Choices):
        for value in param.values:
            if value not in groups[key] and not isinstance(value, dict):
                hint = did_you_mean(str(value), groups[key]) or f"options: {', '.join(groups[key])}"
                _wrong(draft, name, "unknown_option", f"no option '{value}' in group '{key}'", hint)
        return
    node: Any = config
    for part in key.split("."):
        node = node[part] if isinstance(node, dict) and part in node else _MISSING
    if node is not _MISSING or name.startswith("+"):
        return
    near = did_you_mean(key, [*flatten(config), *groups])
    hint = f"{near} (to search over a new key: +{name})".strip()
    _wrong(draft, name, "unknown_key", f"unknown key '{key}' in the space of the search", hint)


_MISSING = object()


def _fits_sampler(draft: Draft, sampler: str, space: dict[str, Param]) -> None:
    for name, param in space.items():
        if sampler == "grid" and isinstance(param, Interval) and not (param.step or param.integer):
            hint = "give it a step, or choices; or another sweep.sampler"
            _wrong(draft, name, "bad_space", f"'{name}' has no grid: it is an interval without a step", hint)
    if sampler == "cmaes" and space and all(isinstance(param, Choices) for param in space.values()):
        name = next(iter(space))
        _wrong(draft, name, "bad_space", "sampler cmaes needs a numeric parameter", "use sweep.sampler=tpe")


def _wrong(draft: Draft, name: str, code: str, message: str, hint: str = "") -> None:
    assert draft.composition is not None
    where: Location | None = COMMAND_LINE
    if name not in draft.composition.space:
        try:
            where = draft.composition.points[0].provenance.locate("sweep.params")
        except (KeyError, DiagnosticError):
            where = None
    draft.diagnostics.append(Diagnostic(code, message, where=where, key=f"sweep.params.{name}", hint=hint))
