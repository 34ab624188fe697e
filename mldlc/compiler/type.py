"""Pass `type`: every stage's config is validated against the schemas of its kind; all mistakes are told at once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from mldlc import catalog
from mldlc.compiler.draft import Draft, Typed
from mldlc.compiler.schema_error import SchemaError
from mldlc.compiler.type_memory import TypeMemory
from mldlc.config.compose import ComposedPoint
from mldlc.config.groups import describe_groups
from mldlc.plan.codec import digest, ordered_digest
from mldlc.plan.diagnostic import Diagnostic, DiagnosticError, did_you_mean


def run(draft: Draft) -> None:
    """Fill `draft.typed` (point -> stage -> typed stage and its lifecycle entry) and `draft.settings`."""
    assert draft.composition is not None
    memory = TypeMemory(draft.outputs if draft.cached else None)
    memo = _Memo()
    for point in draft.composition.points:
        draft.typed[point.id] = _type_point(draft, point, memo, memory)
    _settings(draft, draft.composition.points[0].config, memory)
    _search(draft, draft.composition.points[0].config.get("sweep"))
    if not any(item.severity == "error" for item in draft.diagnostics):
        memory.save()


@dataclass
class _Memo:
    """What the points of one compilation share. typed: by digest of kind and config."""

    typed: dict[str, Typed | None] = field(default_factory=dict)
    _keys: dict[Any, str] = field(default_factory=dict)

    def key(self, kind: str, paths: dict[str, str], values: dict[str, Any], root: Path) -> str:
        """Digest of what types a stage. Points share most subtrees as objects: those are not digested again."""
        ids = (kind, *((formal, path, id(values.get(formal))) for formal, path in paths.items()))
        if ids not in self._keys:
            places = [str(root), os.environ.get("HOME")]  # where relative paths and those from "~" start
            self._keys[ids] = ordered_digest([kind, values, sorted(paths.items()), *places])
        return self._keys[ids]

    def group_key(self, name: str, value: Any) -> str:
        """Digest of a group and its name; the value lives as long as the composition does."""
        if (name, id(value)) not in self._keys:
            self._keys[name, id(value)] = digest([name, value])
        return self._keys[name, id(value)]


def _type_point(draft: Draft, point: ComposedPoint, memo: _Memo, memory: TypeMemory) -> dict[str, Any]:
    report = _Reporter(draft, point)
    config = point.config
    read = _check_own_groups(report, config, memo, memory)
    stages: dict[str, Any] = {}
    for name, entry in live_stages(config).items():
        kind = entry.get("kind")
        where = partial(report.locate, f"lifecycle.stages.{name}.kind")
        try:
            wanted = _reads(draft, str(kind), where, memory)
        except KeyError:
            known = catalog.kinds()
            report.add(
                f"lifecycle.stages.{name}.kind",
                SchemaError(
                    "unknown_kind",
                    "",
                    f"unknown kind '{kind}' of stage '{name}'",
                    found=str(kind),
                    allowed=tuple(known),
                    hint=did_you_mean(str(kind), known),
                ),
            )
            continue
        formal_paths = {formal: (entry.get("config") or {}).get(formal, formal) for formal in wanted}
        unknown = set(entry.get("config") or {}) - set(formal_paths)
        for formal in sorted(unknown):
            report.add(
                f"lifecycle.stages.{name}.config.{formal}",
                SchemaError(
                    "unknown_key", "", f"kind {kind} reads no group '{formal}'", hint=did_you_mean(formal, wanted)
                ),
            )
        configs = {formal: value for formal, path in formal_paths.items() if (value := at(config, path)) is not None}
        memo_key = memo.key(str(kind), formal_paths, configs, draft.root)
        if memo_key not in memo.typed:
            typed = memory.get_typed(memo_key)
            if typed is None:
                typed, errors = _type_stage(draft, str(kind), configs, where)
                for formal, found in errors.items():
                    for error in found:
                        report.add(formal_paths.get(formal, formal), error, stage=name)
                if typed is not None and kind in catalog.KINDS:
                    memory.keep_typed(memo_key, typed)
            if typed is not None:
                _check_targets(draft, report, typed, formal_paths)
                _check_volatile(draft, report, typed, formal_paths)
            memo.typed[memo_key] = typed
        typed = memo.typed[memo_key]
        read.update(path.split(".")[0] for path in formal_paths.values())
        if typed is not None:
            files = tuple(entry.get("code") or ())
            typed = replace(typed, files=(*typed.files, *files)) if files else typed
            stages[name] = (typed, {**entry, "groups": formal_paths})
    _check_roots(report, config, read, memo, memory)
    return stages


def _reads(draft: Draft, kind: str, where: Any, memory: TypeMemory) -> list[str]:
    """Formal groups that a kind reads. KeyError when there is no such kind."""
    if catalog.is_user_kind(kind):
        from mldlc.compiler import probe

        return probe.reads(draft, kind, where)
    known: list[str] | None = memory.get(f"reads:{kind}")
    if known is None:
        known = list(catalog.load_spec(kind).reads)
        if kind in catalog.KINDS:
            memory.keep(f"reads:{kind}", known)
    return known


def _type_stage(
    draft: Draft, kind: str, configs: dict[str, Any], where: Any
) -> tuple[Typed | None, dict[str, list[SchemaError]]]:
    if catalog.is_user_kind(kind):
        from mldlc.compiler import probe

        return probe.type_user_stage(draft, kind, configs, where)
    from mldlc.compiler.typed import type_stage

    return type_stage(catalog.load_spec(kind), configs, draft.root)


def live_stages(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Lifecycle entries that are enabled, whose `when` holds and whose `unless` does not."""
    stages = (config.get("lifecycle") or {}).get("stages") or {}
    return {
        name: entry
        for name, entry in stages.items()
        if isinstance(entry, dict)
        and entry.get("enabled", True) is True
        and _holds(config, entry.get("when"))
        and not (entry.get("unless") and _holds(config, entry["unless"]))
    }


def _holds(config: dict[str, Any], when: Any) -> bool:
    if when is None or isinstance(when, bool):
        return when is not False
    value = at(config, str(when))
    if isinstance(value, dict) and "kind" in value:
        value = value["kind"]
    return value not in (None, False, "none")


def at(config: Any, path: str) -> Any:
    """The value at a dotted path, None when there is none."""
    for part in path.split("."):
        if not isinstance(config, dict) or part not in config:
            return None
        config = config[part]
    return config


def _check_own_groups(report: _Reporter, config: dict[str, Any], memo: _Memo, memory: TypeMemory) -> set[str]:
    """Check the groups that no step reads; the names that the config may have without a stage that reads them."""
    for name in catalog.OWN_GROUPS:
        if name in config:
            seen = f"own:{memo.group_key(name, config[name])}"
            if seen not in memo.typed and not memory.get(seen):
                from mldlc.compiler.groups import GROUPS

                _check_group(report, memory, seen, name, GROUPS[name], config[name])
            memo.typed[seen] = None
    if "lifecycle" not in config:
        report.add("lifecycle", SchemaError("missing_group", "", "the config has no group 'lifecycle'"))
    return {*catalog.OWN_GROUPS, *catalog.SCALARS}


def _check_group(report: _Reporter, memory: TypeMemory, seen: str, name: str, schema: Any, value: Any) -> None:
    from mldlc.compiler.validate import check

    errors = check(schema, value)[1]
    for error in errors:
        report.add(name, error)
    if not errors:
        memory.keep(seen, True)


def _check_roots(report: _Reporter, config: dict[str, Any], read: set[str], memo: _Memo, memory: TypeMemory) -> None:
    """Groups that no live stage reads: checked by the shipped kind that would, fine when they are a group of the
    project's own (its stage is not live here), else unknown.
    """
    for name in config:
        if name in read:
            continue
        owner = catalog.OWNERS.get(name)
        if owner is not None:
            seen = f"idle:{memo.group_key(name, config[name])}"
            # a group that is off may keep the keys that an experiment gave it
            off = isinstance(config[name], dict) and config[name].get("kind") == "none"
            if not off and not memory.get(seen):
                _check_group(report, memory, seen, name, catalog.load_spec(owner).reads[name], config[name])
        elif name not in describe_groups(report.draft.ask.project, report.draft.seen):
            names = sorted({*catalog.OWNERS, *read})
            hint = (
                did_you_mean(name, names) or f"a group of your own needs a folder conf/{name} or a stage that reads it"
            )
            error = SchemaError("unknown_key", "", f"unknown group '{name}'", name, tuple(names), hint)
            report.add(name, error)


def _check_targets(draft: Draft, report: _Reporter, typed: Typed, paths: dict[str, str]) -> None:
    for formal, params in typed.params.items():
        for key, target, args in _target_places(params, paths[formal]):
            from mldlc.compiler.targets import check_target

            for error in check_target(target, args, draft.code, typed.packages):
                report.add(f"{key}.target", error)


def _target_places(value: Any, path: str) -> Iterable[tuple[str, str, dict[str, Any] | None]]:
    if isinstance(value, dict):
        if isinstance(value.get("target"), str):
            args = value.get("args")
            yield path, value["target"], args if isinstance(args, dict) else None
        for name, child in value.items():
            yield from _target_places(child, f"{path}.{name}")
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from _target_places(child, f"{path}.{number}")


def _check_volatile(draft: Draft, report: _Reporter, typed: Typed, paths: dict[str, str]) -> None:
    """A hashed value must not depend on the clock or the environment."""
    assert draft.composition is not None
    if draft.composition.cacheable and not draft.composition.inputs:
        return
    impure = report.point.provenance.impure()
    for formal, values in typed.identity.items():
        for key in leaves(values, paths[formal]):
            if key in impure:
                message = f"{impure[key]} in a value that is part of the result's identity"
                hint = "write the value, or pass it on the command line"
                report.add(key, SchemaError("volatile_value", "", message, found=impure[key], hint=hint))


def leaves(value: Any, path: str) -> Iterable[str]:
    """Dotted paths of all leaves under a value."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from leaves(child, f"{path}.{name}")
    elif isinstance(value, list):
        for number, child in enumerate(value):
            yield from leaves(child, f"{path}.{number}")
    else:
        yield path


def _settings(draft: Draft, config: dict[str, Any], memory: TypeMemory) -> None:
    executor = config.get("executor", {"kind": "local"})
    seen = f"executor:{digest(executor)}"
    draft.settings["executor"] = memory.get(seen) or memory.keep(seen, _executor(executor))
    draft.settings["approvals"] = [str(draft.root / "approvals"), str(draft.outputs / "approvals")]
    scope = config.get("scope")
    draft.settings["budget"] = (scope.get("budget") or {}) if isinstance(scope, dict) else {}


def _search(draft: Draft, sweep: Any) -> None:
    """What a search asks for, where the config chooses one and has no mistakes so far."""
    from mldlc.config.spanning import SEARCHES

    if not isinstance(sweep, dict) or sweep.get("kind") not in SEARCHES or draft.diagnostics:
        return
    from mldlc.compiler.groups import GROUPS
    from mldlc.compiler.search import search_settings
    from mldlc.compiler.typed import plain
    from mldlc.compiler.validate import check

    found = search_settings(draft, plain(check(GROUPS["sweep"], sweep)[0]))
    if found is not None:
        draft.settings["search"] = found


def _executor(value: Any) -> Any:
    from mldlc.compiler.groups import GROUPS
    from mldlc.compiler.typed import plain
    from mldlc.compiler.validate import check

    return plain(check(GROUPS["executor"], value)[0])


class _Reporter:
    """Collects diagnostics of one point; the same mistake at several points is told once."""

    def __init__(self, draft: Draft, point: ComposedPoint) -> None:
        self.draft, self.point = draft, point
        self.seen = {str(item) for item in draft.diagnostics}

    def locate(self, key: str) -> Any:
        try:
            return self.point.provenance.locate(key)
        except (KeyError, DiagnosticError):
            return None

    def add(self, group: str, error: SchemaError, stage: str = "") -> None:
        key = f"{group}.{error.path}" if error.path else group
        message = error.message
        parent = key.rpartition(".")[0]
        if error.code == "unknown_key" and parent:
            message += f" in group '{parent}'" if "." not in parent else f" in '{parent}'"
        elif error.code == "missing_value":
            message += f" in '{parent}'"
        elif error.code == "missing_group":
            message += f", which stage '{stage}' reads" if stage else ""
        elif error.code in ("wrong_type", "bad_value", "secret_value"):
            message = f"{key}: {message}"
        item = Diagnostic(
            error.code,
            message,
            where=self.locate(key),
            key=key,
            found=error.found,
            allowed=error.allowed,
            hint=error.hint,
        )
        if str(item) not in self.seen:
            self.seen.add(str(item))
            self.draft.diagnostics.append(item)
