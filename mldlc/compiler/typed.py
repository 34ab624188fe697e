"""Types one stage: its spec as data, its config validated and split by role. For users' kinds it runs in a probe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import BaseModel

from mldlc.compiler.draft import Typed
from mldlc.compiler.schema_error import SchemaError
from mldlc.compiler.validate import check
from mldlc.config.schema import hashed, roles_of
from mldlc.plan.diagnostic import DiagnosticError
from mldlc.plan.spec import StepSpec


def type_stage(
    spec: StepSpec, configs: Mapping[str, Any], root: Path, kind: str = ""
) -> tuple[Typed | None, dict[str, list[SchemaError]]]:
    """Validate the config of one stage. configs: formal group -> subtree (absent when the config has none).

    Gives the typed stage, or None and the errors by formal group.
    """
    values: dict[str, Any] = {}
    errors: dict[str, list[SchemaError]] = {}
    for formal, schema in spec.reads.items():
        if formal not in configs:
            errors[formal] = [SchemaError("missing_group", "", f"the config has no group '{formal}'")]
            continue
        value, found = check(schema, configs[formal])
        if found:
            errors[formal] = found
        else:
            values[formal] = absolute(value, root)
    if errors:
        return None, errors
    try:
        return _typed(spec, values, kind or spec.kind), {}
    except DiagnosticError as error:
        for d in error.diagnostics:  # of the first group, where the key names no other
            group, _, key = d.key.partition(".")
            formal, key = (group, key) if group in spec.reads else (next(iter(spec.reads), ""), d.key)
            errors.setdefault(formal, []).append(SchemaError(d.code, key, d.message, d.found, d.allowed, d.hint))
        return None, errors


def _typed(spec: StepSpec, values: dict[str, Any], kind: str) -> Typed:
    config = SimpleNamespace(**values)
    needs = spec.needs(config) if callable(spec.needs) else spec.needs
    params = {formal: plain(value) for formal, value in values.items()}
    modules = [spec.impl.partition(":")[0]]
    for formal, table in spec.components.items():
        chosen = params.get(formal, {}).get("kind")
        if chosen in table:
            modules.append(table[chosen])
    return Typed(
        kind=kind,
        version=spec.version,
        impl=spec.impl,
        purity=spec.purity,
        ports={name: (port.type.name, port.arity) for name, port in spec.inputs.items()},
        outputs={name: kind.name for name, kind in spec.outputs.items()},
        params=params,
        identity={formal: hashed(value) for formal, value in values.items()},
        sources=spec.sources(config) if spec.sources else (),
        needs=needs,
        packages=spec.packages,
        modules=tuple(modules),
        targets=tuple(dict.fromkeys(targets_in(params))),
        files=spec.code,
        observe=spec.observe,
        items=spec.items,
        check=spec.check,
        decide=spec.decide,
        lineage=spec.lineage,
        nondeterministic=free(config) if callable(free := spec.nondeterministic) else free,
        note=spec.describe(config) if spec.describe else "",
        advise=spec.advise,
        measures=spec.measures(config) if spec.measures else (),
    )


def plain(value: Any) -> Any:
    """A validated value as JSON values, all roles."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    return value


def absolute(value: Any, root: Path) -> Any:
    """Make the relative paths in `location` fields absolute: they start at the project root."""
    if isinstance(value, BaseModel):
        changed = {}
        for name, field in roles_of(type(value)).items():
            old = getattr(value, name)
            new = _rooted(old, root) if field.role == "location" else absolute(old, root)
            if new is not old:
                changed[name] = new
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, list | tuple):
        items = [absolute(item, root) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else type(value)(items)
    if isinstance(value, dict):
        return {key: absolute(item, root) for key, item in value.items()}
    return value


def _rooted(value: Any, root: Path) -> Any:
    if isinstance(value, str) and value and "://" not in value and not Path(value).is_absolute():
        return str(root / Path(value).expanduser())
    if isinstance(value, list | tuple):
        return type(value)(_rooted(item, root) for item in value)
    return value


def targets_in(value: Any) -> list[str]:
    """Every `target: package.module:Name` in a config, in order."""
    if isinstance(value, Mapping):
        own = [value["target"]] if isinstance(value.get("target"), str) and ":" in value["target"] else []
        return own + [item for child in value.values() for item in targets_in(child)]
    if isinstance(value, list | tuple):
        return [item for child in value for item in targets_in(child)]
    return []
